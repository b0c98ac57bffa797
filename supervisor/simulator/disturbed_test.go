package simulator_test

import (
	"context"
	"slices"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/supervisor"
	"github.com/handover-controller/handover/supervisor/simulator"
)

var _ = Describe("A disturbed simulated Supervisor", func() {
	release := func(letter string) simulator.Release {
		r := (&actions{}).release(letter)
		r.StopGracePeriod, r.HandoverTimeout = 30*time.Second, time.Second
		return r
	}
	// patient is a runtime of processes that need so long after SIGTERM.
	patient := func(takes time.Duration) func(*simulator.Options) {
		return func(o *simulator.Options) {
			o.Runtime = simulator.Scripted(func(simulator.Container) simulator.Script { return simulator.Script{StopTakes: takes} })
		}
	}
	// deployed is a simulator with release A, with the stop grace period of the others.
	deployed := func(version string, change ...func(*simulator.Options)) (*simulator.Simulator, *history) {
		s, events := newSimulator(version, change...)
		s.SetTarget(release("A"))
		time.Sleep(2 * time.Minute)
		Expect(s.Settled()).To(BeTrue())
		events.clear()
		return s, events
	}
	// signals are those that a release's containers were sent.
	signals := func(h *history, id int64) (all []simulator.Event) {
		for _, e := range h.all() {
			if e.Kind == simulator.EventKill && e.Release.ID == id {
				all = append(all, e)
			}
		}
		return all
	}
	first := func(h *history, kind string, id int64) time.Time {
		GinkgoHelper()
		for _, e := range h.all() {
			if e.Kind == kind && e.Release.ID == id {
				return e.At
			}
		}
		Fail("no " + kind)
		return time.Time{}
	}
	everyVersion := func(what string, body func(version string)) {
		for _, version := range []string{"12", "14.13.9", "17.6", "19.0.5"} {
			It(what+", "+version, func() { virtually(version, func() { body(version) }) })
		}
	}
	statuses := func(s *simulator.Simulator) (all []string) {
		v, err := clientOf(s, s.APIKey()).View(context.Background())
		Expect(err).NotTo(HaveOccurred())
		for _, c := range v.Containers {
			all = append(all, string(c.Status))
		}
		return all
	}
	reasons := func(h *history) (all []string) {
		for _, e := range h.all() {
			if e.Kind == simulator.EventFailed {
				all = append(all, e.Reason)
			}
		}
		return all
	}

	everyVersion("sends SIGTERM again to what it was stopping when it was ended, and SIGKILL stays at the first deadline", func(version string) {
		s, events := deployed(version, patient(time.Hour))
		defer s.Close()
		s.SetTarget(release("B"))
		Expect(s.Wait(context.Background(), func() bool { return len(signals(events, 1001)) == 1 })).To(Succeed())
		for range 2 {
			time.Sleep(5 * time.Second)
			s.Down()
			s.Up()
			time.Sleep(2 * time.Second)
		}
		time.Sleep(time.Minute)
		sent := signals(events, 1001)
		Expect(sent).To(HaveLen(4))
		Expect(sent[3].Signal).To(Equal(syscall.SIGKILL))
		Expect(sent[3].At.Sub(sent[0].At)).To(BeNumerically("~", 30*time.Second, 20*time.Millisecond))
		for i, again := range sent[1:3] {
			Expect(again.Signal).To(Equal(syscall.SIGTERM))
			ups := slices.DeleteFunc(events.all(), func(e simulator.Event) bool { return e.Kind != simulator.EventUp })
			least, most := 220*time.Millisecond, 285*time.Millisecond
			if version == "12" || version == "14.13.9" {
				least, most = 49*time.Millisecond, 67*time.Millisecond
			}
			Expect(again.At.Sub(ups[i].At)).To(And(BeNumerically(">=", least), BeNumerically("<=", most)))
		}
		Expect(s.Containers()).To(HaveLen(1))
	})

	It("ends a container at the earliest deadline of several stops", func() {
		virtually("earliest", func() {
			s, events := deployed("19.0.5", patient(time.Hour))
			defer s.Close()
			s.SetTarget(release("B"))
			Expect(s.Wait(context.Background(), func() bool { return len(signals(events, 1001)) == 1 })).To(Succeed())
			time.Sleep(3 * time.Second)
			Expect(s.StopByHand(s.Containers()[0].ID, 10*time.Second)).To(Succeed())
			time.Sleep(time.Minute)
			sent := signals(events, 1001)
			Expect(sent).To(HaveLen(3))
			Expect(sent[2].Signal).To(Equal(syscall.SIGKILL))
			Expect(sent[2].At.Sub(sent[1].At)).To(BeNumerically("~", 10*time.Second, 20*time.Millisecond))
		})
	})

	It("removes a container that ended while it was down only when it is up again", func() {
		virtually("ended meanwhile", func() {
			s, events := deployed("19.0.5", patient(3*time.Second))
			defer s.Close()
			s.SetTarget(release("B"))
			Expect(s.Wait(context.Background(), func() bool { return len(signals(events, 1001)) == 1 })).To(Succeed())
			s.Down()
			time.Sleep(time.Minute)
			Expect(s.Containers()).To(HaveLen(2))
			s.Up()
			Expect(s.Wait(context.Background(), func() bool { return len(s.Containers()) == 1 })).To(Succeed())
			Expect(signals(events, 1001)).To(HaveLen(1), "it had ended")
			time.Sleep(5 * time.Second)
			Expect(s.Settled()).To(BeTrue())
		})
	})

	for _, version := range []string{"17.6", "19.0.5"} {
		It("is stuck for ever when it was killed between rename and create, until the strategy is another one, "+version, func() {
			virtually("rename", func() {
				s, events := deployed(version)
				defer s.Close()
				s.CrashAt(simulator.EventRename)
				s.SetTarget(release("B"))
				time.Sleep(5 * time.Second)
				s.Up()
				time.Sleep(24 * time.Hour)
				Expect(s.Containers()).To(HaveExactElements(HaveField("Release.ID", BeEquivalentTo(1001))))
				Expect(s.Stuck()).To(BeTrue())
				Expect(reasons(events)).To(HaveEach(ContainSubstring("same name as its current name")))
				Expect(len(reasons(events))).To(And(BeNumerically(">", 80), BeNumerically("<", 110)), "a quarter of an hour apart in the end")
				s.SetTarget(release("C"))
				time.Sleep(time.Hour)
				Expect(s.Containers()).To(HaveExactElements(HaveField("Release.ID", BeEquivalentTo(1001))), "another release does not help")
				killed := release("C")
				killed.KillFirst = true
				s.SetTarget(killed)
				time.Sleep(time.Minute)
				Expect(s.Settled()).To(BeTrue())
				Expect(s.Stuck()).To(BeFalse())
				Expect(s.Containers()).To(HaveExactElements(HaveField("Release.ID", BeEquivalentTo(1003))))
				s.SetTarget(release("A"))
				time.Sleep(2 * time.Minute)
				Expect(s.Settled()).To(BeTrue(), "a new container can be handed over again")
				Expect(s.Containers()).To(HaveExactElements(HaveField("Release.ID", BeEquivalentTo(1001))))
			})
		})

		It("is not stuck after that where no step may fail, "+version, func() {
			virtually("never fails", func() {
				s, _ := deployed(version, func(o *simulator.Options) { o.NeverFails = true })
				defer s.Close()
				s.CrashAt(simulator.EventRename)
				s.SetTarget(release("B"))
				time.Sleep(5 * time.Second)
				s.Up()
				time.Sleep(time.Minute)
				Expect(s.Settled()).To(BeTrue())
				Expect(s.Containers()).To(HaveExactElements(HaveField("Release.ID", BeEquivalentTo(1002))))
			})
		})

		It("stops the old container first when it was killed between create and start, "+version, func() {
			virtually("create", func() {
				s, events := deployed(version, patient(3*time.Second))
				defer s.Close()
				s.CrashAt(simulator.EventCreate)
				s.SetTarget(release("B"))
				time.Sleep(5 * time.Second)
				Expect(s.Containers()).To(HaveLen(2))
				Expect(s.Containers()[1].Starts).To(BeZero())
				s.Up()
				time.Sleep(time.Minute)
				Expect(s.Settled()).To(BeTrue())
				Expect(s.Containers()).To(HaveExactElements(HaveField("Release.ID", BeEquivalentTo(1002))))
				gap := first(events, simulator.EventStart, 1002).Sub(first(events, simulator.EventDie, 1001))
				Expect(gap).To(And(BeNumerically(">", 300*time.Millisecond), BeNumerically("<", 2*time.Second)))
			})
		})
	}

	It("stops the old container when the new one cannot be started, and starts the new one again and again", func() {
		virtually("start fails", func() {
			s, events := deployed("19.0.5", func(o *simulator.Options) { o.Runtime = failing{1002} })
			defer s.Close()
			s.SetTarget(release("B"))
			time.Sleep(time.Minute)
			Expect(s.Containers()).To(HaveExactElements(HaveField("Release.ID", BeEquivalentTo(1002))))
			Expect(statuses(s)).To(Equal([]string{"Installed"}))
			Expect(len(reasons(events))).To(BeNumerically(">=", 5))
			Expect(reasons(events)).To(HaveEach("exec format error"))
			Expect(s.Settled()).To(BeFalse())
		})
	})

	everyVersion("stops the old container before it starts the new one where both publish ports", func(version string) {
		s, events := newSimulator(version, patient(3*time.Second))
		defer s.Close()
		for _, letter := range []string{"A", "B"} {
			r := release(letter)
			r.PublishedPorts = true
			events.clear()
			s.SetTarget(r)
			time.Sleep(3 * time.Minute)
			Expect(s.Settled()).To(BeTrue())
		}
		Expect(reasons(events)).To(HaveExactElements(ContainSubstring("port is already allocated")))
		Expect(first(events, simulator.EventStart, 1002)).To(BeTemporally(">", first(events, simulator.EventDestroy, 1001)))
	})

	everyVersion("does not start a container again that was stopped or killed by hand, until there is another release", func(version string) {
		for how, end := range map[string]func(s *simulator.Simulator, id string) error{
			"stopped": func(s *simulator.Simulator, id string) error { return s.StopByHand(id, 0) },
			"killed":  (*simulator.Simulator).KillByHand,
		} {
			func() {
				s, events := deployed(version)
				defer s.Close()
				Expect(end(s, s.Containers()[0].ID)).To(Succeed(), how)
				time.Sleep(time.Hour)
				s.Down()
				s.Up()
				time.Sleep(time.Hour)
				Expect(statuses(s)).To(Equal([]string{"exited"}), how)
				Expect(s.Settled()).To(BeTrue(), how)
				Expect(events.all()).NotTo(ContainElement(HaveField("Kind", simulator.EventStart)), how)
				s.SetTarget(release("B"))
				time.Sleep(time.Minute)
				Expect(statuses(s)).To(Equal([]string{"Running"}), how)
			}()
		}
	})

	It("does not start a new container again that was killed by hand while the old one holds", func() {
		virtually("killed by hand", func() {
			s, events := deployed("19.0.5", patient(20*time.Second))
			defer s.Close()
			s.SetTarget(release("B"))
			Expect(s.Wait(context.Background(), func() bool { return len(signals(events, 1001)) == 1 })).To(Succeed())
			Expect(s.KillByHand(s.Containers()[1].ID)).To(Succeed())
			time.Sleep(time.Second)
			Expect(statuses(s)).To(Equal([]string{"exited", "Stopping"}))
			time.Sleep(time.Hour)
			Expect(statuses(s)).To(Equal([]string{"exited"}))
			Expect(s.Settled()).To(BeTrue())
		})
	})

	It("says for a moment that it applies changes when only a variable changes", func() {
		virtually("environment", func() {
			s, _ := deployed("19.0.5")
			defer s.Close()
			changed := release("A")
			changed.Env = []string{"CHANGED=1"}
			var since, until time.Time
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			s.SetTarget(changed)
			_ = s.Wait(ctx, func() bool {
				switch is := read(targetPath, s.Truth(targetPath)); {
				case is == "a: 1001 Running [done]" && !since.IsZero() && until.IsZero():
					until = time.Now()
				case is == "a: 1001 Running [applying changes]" && since.IsZero():
					since = time.Now()
				}
				return false
			})
			Expect(since).NotTo(BeZero())
			Expect(until.Sub(since)).To(And(BeNumerically(">", 200*time.Millisecond), BeNumerically("<", 600*time.Millisecond)))
		})
	})

	It("takes its time under load", func() {
		var starts, stops []time.Duration
		for seed := range uint64(20) {
			virtually("busy", func() {
				s, events := deployed("19.0.5", func(o *simulator.Options) { o.Busy, o.Seed = true, seed })
				defer s.Close()
				s.SetTarget(release("B"))
				time.Sleep(time.Minute)
				started := first(events, simulator.EventStart, 1002)
				starts = append(starts, started.Sub(first(events, simulator.EventCreate, 1002)))
				stops = append(stops, first(events, simulator.EventKill, 1001).Sub(started))
			})
		}
		Expect(slices.Max(starts)).To(And(BeNumerically(">", 2*time.Second), BeNumerically("<=", 3200*time.Millisecond)))
		Expect(slices.Max(stops)).To(And(BeNumerically(">", 300*time.Millisecond), BeNumerically("<=", 500*time.Millisecond)))
	})

	It("restarts the service when the API is asked to, while the target stays applied", func() {
		virtually("restart", func() {
			s, events := deployed("19.0.5")
			defer s.Close()
			old := s.Containers()[0].ID
			s.Restart()
			time.Sleep(time.Minute)
			Expect(s.Containers()).To(HaveExactElements(And(HaveField("Release.ID", BeEquivalentTo(1001)), Not(HaveField("ID", old)))))
			Expect(first(events, simulator.EventStart, 1001)).To(BeTemporally(">", first(events, simulator.EventDestroy, 1001)))
			Expect(s.Settled()).To(BeTrue())
		})
	})

	It("lists another service beside the one that is replaced", func() {
		virtually("beside", func() {
			s, _ := deployed("19.0.5", func(o *simulator.Options) { o.Beside = "proxy" })
			defer s.Close()
			s.SetTarget(release("B"))
			time.Sleep(time.Minute)
			v, err := clientOf(s, s.APIKey()).View(context.Background())
			Expect(err).NotTo(HaveOccurred())
			Expect(v.Of("1234", "proxy")).To(HaveExactElements(HaveField("Status", supervisor.StatusRunning)))
			Expect(v.Of("1234", "main")).To(HaveLen(1))
			Expect(v.Containers).To(HaveLen(2))
			Expect(s.Containers()).To(HaveLen(1))
		})
	})

	It("says which container there is not", func() {
		virtually("unknown", func() {
			s, _ := newSimulator("19.0.5")
			defer s.Close()
			Expect(s.StopByHand("no such container", 0)).To(MatchError(ContainSubstring("there is no container no such cont")))
			Expect(s.KillByHand("no such container")).To(MatchError(ContainSubstring("there is no container no such cont")))
		})
	})
})
