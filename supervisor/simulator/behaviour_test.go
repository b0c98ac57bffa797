package simulator_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/handover-controller/handover/supervisor"
	"github.com/handover-controller/handover/supervisor/simulator"
)

var _ = Describe("The simulated Supervisor", func() {
	release := func(letter string) simulator.Release { return (&actions{}).release(letter) }
	kinds := func(events []simulator.Event, id string) []string {
		var all []string
		for _, e := range events {
			if e.Container == id {
				all = append(all, e.Kind)
			}
		}
		return all
	}
	stubborn := func(o *simulator.Options) {
		o.Runtime = simulator.Scripted(func(simulator.Container) simulator.Script { return simulator.Script{IgnoresStop: true} })
	}

	It("stops the service without a successor, and kills what does not obey after the grace period", func() {
		virtually("stop", func() {
			s, events := newSimulator("19.0.5", stubborn)
			defer s.Close()
			id := s.Containers()[0].ID
			s.Stop()
			time.Sleep(9 * time.Second)
			Expect(s.Containers()).To(HaveLen(1))
			Expect(kinds(events.all(), id)).To(Equal([]string{"kill"}))
			time.Sleep(3 * time.Second)
			Expect(s.Containers()).To(BeEmpty())
			Expect(kinds(events.all(), id)).To(Equal([]string{"kill", "kill", "die", "stop", "destroy"}))
			Expect(events.all()[1].Signal).To(Equal(syscall.SIGKILL))
			Expect(events.all()[2].Code).To(Equal(137))
		})
	})

	It("stops the device: its API is gone, all are told at once, nothing is restarted", func() {
		virtually("shutdown", func() {
			s, events := newSimulator("14.13.9")
			defer s.Close()
			s.SetTarget(release("B"))
			time.Sleep(2 * time.Second)
			Expect(s.Containers()).To(HaveLen(2))
			events.clear()
			s.Shutdown()
			_, err := clientOf(s, s.APIKey()).View(context.Background())
			Expect(err).To(HaveField("Kind", supervisor.KindUnreachable))
			time.Sleep(time.Minute)
			told := slices.DeleteFunc(events.all(), func(e simulator.Event) bool { return e.Kind != simulator.EventKill })
			Expect(told).To(HaveLen(2))
			Expect(told[1].At).To(BeTemporally("~", told[0].At, 100*time.Millisecond))
			for _, e := range events.all() {
				Expect(e.Kind).NotTo(Equal(simulator.EventStart))
			}
		})
	})

	It("refuses an old key as soon as it is rotated, and re-creates the container with the new one", func() {
		virtually("rotate", func() {
			s, _ := newSimulator("19.0.5")
			defer s.Close()
			key, old := s.APIKey(), s.Containers()[0]
			Expect(old.Env).To(ContainElement("BALENA_SUPERVISOR_API_KEY=" + key))
			s.RotateKey()
			Expect(s.APIKey()).NotTo(Equal(key))
			_, err := clientOf(s, key).View(context.Background())
			Expect(err).To(HaveField("StatusCode", 401))
			time.Sleep(time.Minute)
			Expect(s.Containers()).To(HaveLen(1))
			renewed := s.Containers()[0]
			Expect(renewed.ID).NotTo(Equal(old.ID))
			Expect(renewed.Release).To(Equal(old.Release))
			Expect(renewed.Env).To(ContainElement("BALENA_SUPERVISOR_API_KEY=" + s.APIKey()))
		})
	})

	It("gives a container the environment that a real one got, without release or image id", func() {
		var real []struct{ Env []string }
		data, err := os.ReadFile("../testdata/19.0.5/container.json")
		Expect(err).NotTo(HaveOccurred())
		Expect(json.Unmarshal(data, &real)).To(Succeed())
		names := func(env []string) (all []string) {
			for _, v := range env {
				name, _, _ := strings.Cut(v, "=")
				if !slices.Contains([]string{"ASK", "TERM_DELAY", "REL"}, name) { // the recorded service's own
					all = append(all, name)
				}
			}
			return all
		}
		virtually("environment", func() {
			s, _ := newSimulator("19.0.5", func(o *simulator.Options) { o.Address = "http://10.114.104.1:48484" })
			defer s.Close()
			c := s.Containers()[0]
			Expect(names(c.Env)).To(ConsistOf(names(real[0].Env)))
			Expect(c.Env).To(ContainElements(
				"BALENA_SUPERVISOR_HOST=10.114.104.1", "BALENA_SUPERVISOR_PORT=48484",
				"BALENA_SUPERVISOR_ADDRESS=http://10.114.104.1:48484", "BALENA_APP_ID=1234", "BALENA_SERVICE_NAME=main"))
			for _, text := range []string{"1001", c.Release.Commit, c.Release.Image} {
				Expect(strings.Join(c.Env, " ")).NotTo(ContainSubstring(text))
			}
		})
	})

	It("restarts a container whose process ends, although it asked the engine not to", func() {
		virtually("restart", func() {
			s, events := newSimulator("14.13.9")
			defer s.Close()
			id := s.Containers()[0].ID
			Expect(s.Kill(id)).To(Succeed())
			time.Sleep(time.Second)
			Expect(kinds(events.all(), id)).To(Equal([]string{"die", "start"}))
			Expect(s.Containers()[0].Starts).To(Equal(2))
			Expect(s.Kill("no such container")).To(MatchError(ContainSubstring("there is no container")))
		})
	})

	It("restarts a crashing container after growing pauses, which begin anew when it has run for ten seconds", func() {
		virtually("crash loop", func() {
			s, events := newSimulator("19.0.5")
			defer s.Close()
			id := s.Containers()[0].ID
			time.Sleep(time.Minute)
			pause := func() time.Duration {
				events.clear()
				Expect(s.Kill(id)).To(Succeed())
				time.Sleep(5 * time.Second)
				Expect(kinds(events.all(), id)).To(Equal([]string{"die", "start"}))
				return events.all()[1].At.Sub(events.all()[0].At)
			}
			Expect(pause()).To(BeNumerically("<", 500*time.Millisecond))
			Expect(pause()).To(BeNumerically("<", 600*time.Millisecond))
			Expect(pause()).To(BeNumerically("~", 700*time.Millisecond, 100*time.Millisecond))
			Expect(pause()).To(BeNumerically(">", time.Second))
			time.Sleep(10 * time.Second)
			Expect(pause()).To(BeNumerically("<", 500*time.Millisecond))
		})
	})

	It("locks itself out where it has locks and is killed in the middle of a hand-over", func() {
		for _, version := range []string{"12", "14.13.9", "17.6", "19.0.5"} {
			virtually(version, func() {
				s, _ := newSimulator(version)
				defer s.Close()
				s.SetTarget(release("B"))
				Expect(s.Wait(context.Background(), func() bool {
					return slices.ContainsFunc(s.Containers(), func(c simulator.Container) bool { return c.Release.ID == 1002 && c.Starts > 0 })
				})).To(Succeed())
				s.Crash()
				time.Sleep(5 * time.Second)
				s.Up()
				time.Sleep(time.Hour)
				v, err := simulator.ByName(version)
				Expect(err).NotTo(HaveOccurred())
				if v.Waits {
					Expect(s.Containers()).To(HaveLen(2))
				} else {
					Expect(s.Containers()).To(HaveLen(1))
				}
			})
		}
	})

	It("goes on after a container that could not be started", func() {
		virtually("start fails", func() {
			s, _ := newSimulator("19.0.5", func(o *simulator.Options) { o.Runtime = failing{1002} })
			defer s.Close()
			s.SetTarget(release("B"))
			time.Sleep(time.Minute)
			s.SetTarget(release("C"))
			time.Sleep(time.Minute)
			Expect(s.Settled()).To(BeTrue())
			Expect(s.Containers()).To(HaveLen(1))
			Expect(s.Containers()[0].Release.ID).To(BeEquivalentTo(1003))
		})
	})

	It("stays down if it is ended again while it starts", func() {
		virtually("down again", func() {
			s, events := newSimulator("19.0.5")
			defer s.Close()
			s.Up() // is up already
			s.Down()
			s.Up()
			time.Sleep(100 * time.Millisecond)
			s.Down()
			s.SetTarget(release("B"))
			time.Sleep(time.Minute)
			for _, e := range events.all() {
				Expect(e.Kind).NotTo(Or(Equal(simulator.EventUp), Equal(simulator.EventCreate)))
			}
			s.Up()
			time.Sleep(time.Minute)
			Expect(s.Containers()[0].Release.ID).To(BeEquivalentTo(1002))
		})
	})

	It("does not lock itself out when it is killed while nothing happens", func() {
		virtually("idle crash", func() {
			s, _ := newSimulator("14.13.9")
			defer s.Close()
			s.SetTarget(release("B"))
			Expect(s.Wait(context.Background(), func() bool { return len(s.Containers()) == 2 && s.Containers()[1].Starts > 0 })).To(Succeed())
			s.Down()
			s.Up()
			time.Sleep(time.Minute)
			Expect(s.Containers()).To(HaveLen(1))
			s.Crash()
			s.Up()
			c := release("C")
			c.HandoverTimeout = time.Second
			s.SetTarget(c)
			time.Sleep(time.Minute)
			Expect(s.Containers()).To(HaveLen(1))
			Expect(s.Containers()[0].Release.ID).To(BeEquivalentTo(1003))
		})
	})

	It("stops the old container first with another strategy than hand-over", func() {
		virtually("kill first", func() {
			s, events := newSimulator("19.0.5")
			defer s.Close()
			b := release("B")
			b.KillFirst = true
			s.SetTarget(b)
			time.Sleep(time.Minute)
			var all []string
			for _, e := range events.all() {
				if e.Container != "" {
					all = append(all, e.Kind)
				}
			}
			Expect(all).To(Equal([]string{"kill", "die", "stop", "destroy", "create", "start"}))
		})
	})

	It("does the same for the same seed", func() {
		history := func() (all []string) {
			virtually("seed", func() {
				began := time.Now()
				s, events := newSimulator("14.13.9")
				b := release("B")
				b.HandoverTimeout = 3 * time.Second
				s.SetTarget(b)
				time.Sleep(time.Minute)
				s.Close()
				for _, e := range events.all() {
					all = append(all, e.At.Sub(began).String()+" "+e.String())
				}
			})
			return all
		}
		first := history()
		Expect(len(first)).To(BeNumerically(">", 8))
		Expect(history()).To(Equal(first))
	})

	Describe("says in /v2/applications/state, before v14.11.7,", func() {
		It("what the last image on the device is, of whatever release", func() {
			virtually("any release", func() {
				s, _ := newSimulator("12")
				defer s.Close()
				b := release("B")
				b.HandoverTimeout = time.Second
				s.SetTarget(b)
				time.Sleep(time.Minute)
				a := release("A")
				a.HandoverTimeout = time.Second
				s.SetTarget(a)
				time.Sleep(time.Minute)
				target, err := clientOf(s, s.APIKey()).Target(context.Background(), "1234", "main")
				Expect(err).NotTo(HaveOccurred())
				Expect(target.Commit).To(Equal(a.Commit))
				Expect(target.ReleaseID).To(BeEquivalentTo(1002))
			})
		})
	})

	DescribeTable("needs", func(o simulator.Options, text string) {
		_, err := simulator.New(o)
		Expect(err).To(MatchError(ContainSubstring(text)))
	},
		Entry("a runtime", simulator.Options{Version: simulator.Versions()[0]}, "a Runtime is needed"),
		Entry("a version", simulator.Options{Runtime: simulator.Scripted(nil)}, "a Version is needed"),
	)

	It("knows its versions", func() {
		for _, name := range []string{"12", "v12", "14.13.9", "17.6", "19.0.5", "v19.0.5"} {
			_, err := simulator.ByName(name)
			Expect(err).NotTo(HaveOccurred())
		}
		_, err := simulator.ByName("20")
		Expect(err).To(MatchError(ContainSubstring("use one of 12, 14.13.9, 17.6, 19.0.5")))
		for _, v := range simulator.Versions() {
			Expect(v.Recorded).To(Equal(slices.Contains([]string{"14.13.9", "19.0.5", "19.0.5-wait-repaired"}, v.Name)), v.Name)
		}
	})
})

// failing is a runtime that cannot start containers of one release.
type failing struct{ release int64 }

func (f failing) Start(c simulator.Container) (simulator.Process, error) {
	if c.Release.ID == f.release {
		return nil, errors.New("exec format error")
	}
	return simulator.Scripted(func(simulator.Container) simulator.Script { return simulator.Script{} }).Start(c)
}
