package live

import (
	"strconv"
	"time"

	"github.com/handover-controller/handover/config"
	"github.com/handover-controller/handover/supervisor"
)

func (f *facts) judgeSupervisor(r *report) {
	const alone = "announcements alone decide then: a release that says that it serves is believed, also if its container is in a crash loop"
	sv, a := &f.cfg.Supervisor, f.supervisor
	switch {
	case sv.Mode == config.SupervisorOff:
		r.warn(supervisorMode, "supervisor.mode is off: the Supervisor is not asked").because(
			alone,
			"on balena leave supervisor.mode at auto or set required")
		return
	case sv.Address == "":
		r.warn(supervisorAddress, "the Supervisor's address is not known: neither supervisor.address nor BALENA_SUPERVISOR_ADDRESS is set").because(
			alone,
			`on balena give the service the label io.balena.features.supervisor-api: "1" in the compose file`)
		return
	}
	mode := "supervisor.mode is required: both signals are needed for a hand-over"
	if sv.Mode == config.SupervisorAuto {
		mode = "supervisor.mode is auto, and there is an address: both signals are needed for a hand-over"
	}
	r.ok(supervisorMode, "%s", mode)
	switch {
	case f.supervisor.late:
		r.late(supervisorReach, "the Supervisor")
		return
	case a.client != nil:
		r.fail(supervisorAddress, "%s", a.client.Error()).because(
			"handover run does not start with it",
			"correct supervisor.address or supervisor.api_key")
		return
	}
	r.ok(supervisorAddress, "the Supervisor is at %s", sv.Address)
	if !a.reached() {
		r.fail(supervisorReach, "the Supervisor does not answer: %s", plainKind(a.ping)).because(
			"the second signal stays unknown: an instance that is not told to stop never hands over, and one that is told goes on without it only after policy.unknown_after",
			"it may be restarting: run handover check again; if it lasts, compare the address with that of the device's Supervisor, and see whether the service's network reaches the host")
		return
	}
	r.ok(supervisorReach, "the Supervisor answers (after %s)", short(a.pinged))
	f.judgeKey(r, a)
	f.judgeVersion(r, a)
	f.judgeContainers(r, a)
	f.judgeUpdate(r, a)
	f.judgeInstanceView(r, a)
	f.judgeStrategy(r, a)
}

// judgeKey: the list of containers needs the key.
func (f *facts) judgeKey(r *report, a *answers) {
	hasKey := f.cfg.Supervisor.APIKey != ""
	if kind(a.viewErr) != supervisor.KindUnauthorized {
		switch {
		case a.viewErr != nil: // says nothing of the key
		case hasKey:
			r.ok(supervisorKey, "the Supervisor accepts the API key")
		default:
			r.note(supervisorKey, "there is no API key, and the Supervisor wants none: the device is in local mode")
		}
		return
	}
	const why = "the second signal stays unknown: an instance that is not told to stop never hands over"
	switch st := f.instance.status; {
	case !hasKey:
		r.fail(supervisorKey, "the Supervisor wants an API key, and there is none: neither supervisor.api_key nor BALENA_SUPERVISOR_API_KEY is set").because(
			why,
			`give the service the label io.balena.features.supervisor-api: "1" in the compose file`)
	case st != nil && st.Supervisor.RequestedAt != nil:
		r.warn(supervisorKey, "the Supervisor refuses the API key (401), which it accepted before: the key was rotated").because(
			"a rotated key is a hand-over of its own: the Supervisor replaces this container, which holds until its successor is ready",
			"wait until the new container runs; if that does not happen, restart the service")
	default:
		r.fail(supervisorKey, "the Supervisor refuses the API key (401): it is wrong, or it was rotated").because(
			why,
			"compare BALENA_SUPERVISOR_API_KEY with the environment of a new container; HANDOVER_SUPERVISOR_API_KEY and supervisor.api_key win over it and are best left unset; restart the service for a new key")
	}
}

func (f *facts) judgeVersion(r *report, a *answers) {
	if a.verErr != nil {
		r.note(supervisorVersion, "the Supervisor's version is unknown: it does not tell (%s)", plainKind(a.verErr))
	} else {
		r.ok(supervisorVersion, "the Supervisor is v%s", a.version)
	}
	if what, without := lacking(a.version); without {
		r.fail(supervisorVersion, "this Supervisor has %s", what).because(
			"without the list the second signal stays unknown: an instance that is not told to stop never hands over",
			"update the device's Supervisor to v9.7 or later, or set supervisor.mode to off: announcements alone decide then")
	}
	const timeout = "the label io.balena.update.handover-timeout of the new release (in milliseconds, 60 s by default)"
	told := "it sends the old container SIGTERM as soon as the new one has started, whatever the file handover-complete and the time-out say. The old instance serves on for up to " + f.cfg.Hold().String() + ", so that the grace period is what counts; " + locks(a.version)
	switch does, lookedAt := behaviourOf(a.version); does {
	case polls:
		found := "v" + a.version + " waits for the file handover-complete, and stops the old container when it is there, or at the end of " + timeout
		if f.marker.err != nil {
			r.warn(supervisorBehaviour, "%s; the file cannot be written here", found).because(
				"each hand-over takes the whole time-out",
				"see what is said about the marker below")
			return
		}
		r.ok(supervisorBehaviour, "%s: that must be longer than the new release takes to become ready, and the old one to drain; %s", found, locks(a.version))
	case tells:
		if lookedAt {
			r.ok(supervisorBehaviour, "v%s: %s", a.version, told)
			return
		}
		r.note(supervisorBehaviour, "v%s is newer than what is known; v14.13.10 to v19.0.5: %s", a.version, told)
	case tooOld:
		r.warn(supervisorBehaviour, "v%s is older than what is known (v7)", a.version).because(
			"it may know no hand-over",
			"update the device's Supervisor")
	case unknownBehaviour:
		r.note(supervisorBehaviour, "what this Supervisor does in a hand-over is unknown, as its version is; from v14.13.10 (October 2023) on: %s", told)
	}
}

// judgeContainers looks for this container in the list.
func (f *facts) judgeContainers(r *report, a *answers) {
	if a.viewErr != nil {
		switch kind(a.viewErr) {
		case supervisor.KindUnauthorized: // said above
		case supervisor.KindNotFound:
			r.fail(supervisorContainers, "the Supervisor has no list of its containers (404)").because(
				"the second signal stays unknown: an instance that is not told to stop never hands over",
				"update the device's Supervisor to v9.7 or later; if it is, something else has its address")
		default:
			r.warn(supervisorContainers, "the Supervisor gives no usable list of its containers: %s", plainKind(a.viewErr)).because(
				"the second signal stays unknown for as long",
				"run handover check again; if it lasts, see the Supervisor's log on the device (journalctl -u balena-supervisor)")
		}
		return
	}
	app, service := f.cfg.Service.AppID, f.cfg.Service.Name
	mine := a.view.Of(app, service)
	if f.container() == "" {
		r.note(supervisorContainers, "the Supervisor lists %s of service %s; which one is this is not known", containers(len(mine)), service)
		return
	}
	own, listed := a.view.Find(string(f.container()))
	switch {
	case !listed:
		r.warn(supervisorContainers, "the Supervisor lists %s, and this one (%s) is not among them", containers(len(a.view.Containers)), string(f.container())).because(
			"a list without this instance's container tells nothing: told to stop, an instance holds until its time is over",
			"check service.container_id, and that supervisor.address is of this device")
	case own.AppID != "" && own.AppID != app || own.Service != "" && own.Service != service:
		r.warn(supervisorContainers, "the Supervisor lists this container as service \"%s\" of app \"%s\", the configuration has service \"%s\" of app \"%s\"", own.Service, own.AppID, service, app).because(
			"the containers of another service would be looked at",
			"correct service.app_id and service.name, or leave them to the environment")
	default:
		r.ok(supervisorContainers, "the Supervisor lists this container as %s, and %s of the service in all", string(own.Status), containers(len(mine)))
	}
}

// judgeUpdate looks for an update that nobody goes on with. The Supervisor's
// own log is out of sight, so what is found may be on its way, too.
func (f *facts) judgeUpdate(r *report, a *answers) {
	if a.viewErr != nil || f.container() == "" {
		return
	}
	own, listed := a.view.Find(string(f.container()))
	if !listed {
		return // said above
	}
	mine, applying := a.view.Of(f.cfg.Service.AppID, f.cfg.Service.Name), a.view.AppState == "applying"
	for _, c := range mine {
		id := c.ID[:min(len(c.ID), 12)]
		switch {
		case c.ID == own.ID:
		case c.Status == supervisor.StatusExited:
			r.warn(supervisorUpdate, "the container %s of the service is there and does not run (exited): it was stopped or killed by hand, or its restart policy let it end", id).because(
				"neither the Supervisor nor the engine starts it again: if it is the new one, nobody takes over from this one",
				"restart the service in the dashboard, or push another release")
			return
		case c.Status == supervisor.StatusInstalled:
			r.note(supervisorUpdate, "the container %s of the service was created and does not run. If that lasts for longer than a few seconds, it cannot be started: the Supervisor's log on the device (journalctl -u balena-supervisor) says why, for example that a port of ports: is taken. The Supervisor then stops the old container first", id)
			return
		}
	}
	if applying && len(mine) == 1 && a.target.Status == supervisor.StatusDownloaded && a.target.Commit != a.view.Commit {
		r.note(supervisorUpdate, "an update waits: the image of release %s is here, and there is no container of it. If that lasts although the images of all services are here, a step of the Supervisor fails again and again, and its log on the device (journalctl -u balena-supervisor) has which. \"Renaming a container with the same name as its current name\": it was killed in the middle of a hand-over, and can never hand over this container; push one release without the label io.balena.update.strategy, which interrupts the service once, then the label again. \"no such container - sandbox … not found\": this container is restarted again and again, and each try found it not running; restart the service",
			strconv.FormatInt(a.target.ReleaseID, 10))
		return
	}
	r.ok(supervisorUpdate, "no update is stuck, as far as can be seen")
}

// containers is a number of them, in words.
func containers(n int) string {
	if n == 1 {
		return "1 container"
	}
	return strconv.Itoa(n) + " containers"
}

// judgeInstanceView compares with what the running instance got.
func (f *facts) judgeInstanceView(r *report, a *answers) {
	st := f.instance.status
	if st == nil {
		return
	}
	switch got := &st.Supervisor; {
	case got.Mode == config.SupervisorOff:
		r.warn(supervisorInstance, "the running instance does not ask the Supervisor, although there is an address here").because(
			"announcements alone decide there",
			"run handover check with the configuration and the environment of the container's entry point, or restart the container")
	case got.Error != "":
		r.warn(supervisorInstance, "the running instance has no usable answer of the Supervisor: %s", got.Error).because(
			"the second signal is unknown there",
			"see what was found above")
	case got.RequestedAt != nil && a.viewErr == nil:
		r.ok(supervisorInstance, "the running instance has an answer of %s ago; it asks during hand-overs only", short(max(0, st.Time.Sub(*got.RequestedAt)).Truncate(time.Second)))
	}
}

// judgeStrategy: labels cannot be seen, but what they do can.
func (f *facts) judgeStrategy(r *report, a *answers) {
	const label = "io.balena.update.strategy: hand-over"
	if st := f.instance.status; st != nil {
		for _, h := range st.Handovers {
			if len(h.Lanes) > 1 {
				r.ok(supervisorStrategy, "two containers of the service were heard at a time: the label %s has an effect", label)
				return
			}
		}
	}
	if a.viewErr == nil && len(a.view.Of(f.cfg.Service.AppID, f.cfg.Service.Name)) > 1 {
		r.ok(supervisorStrategy, "the Supervisor has more than one container of the service: a hand-over is under way")
		return
	}
	r.note(supervisorStrategy, "whether the service has the label %s cannot be seen from inside: run handover check --compose with the compose file", label)
}
