package live

// name is the name of a check. The table in README.md, one folder above, says
// what each one looks at; a test holds both together.
type name string

const (
	configFile    name = "config.file"
	configWarning name = "config.warning"
	configProblem name = "config.problem"

	identityService   name = "identity.service"
	identityContainer name = "identity.container"
	identityBoot      name = "identity.boot"
	identityRecord    name = "identity.record"

	processInstance  name = "process.instance"
	processGuard     name = "process.guard"
	processInit      name = "process.init"
	processVersion   name = "process.version"
	processPeers     name = "process.peers"
	processHandovers name = "process.handovers"

	networkMode       name = "network.mode"
	networkInterfaces name = "network.interfaces"
	networkMulticast  name = "network.multicast"
	networkPeers      name = "network.peers"

	folderAccess    name = "folder.access"
	folderShared    name = "folder.shared"
	folderType      name = "folder.type"
	folderLock      name = "folder.lock"
	folderWatch     name = "folder.watch"
	folderExclusive name = "folder.exclusive"

	supervisorMode       name = "supervisor.mode"
	supervisorAddress    name = "supervisor.address"
	supervisorReach      name = "supervisor.reach"
	supervisorKey        name = "supervisor.key"
	supervisorVersion    name = "supervisor.version"
	supervisorBehaviour  name = "supervisor.behaviour"
	supervisorContainers name = "supervisor.containers"
	supervisorUpdate     name = "supervisor.update"
	supervisorInstance   name = "supervisor.instance"
	supervisorStrategy   name = "supervisor.strategy"

	markerFolder name = "marker.folder"
	markerStale  name = "marker.stale"

	gracePeriod    name = "grace.period"
	graceHold      name = "grace.hold"
	graceReadiness name = "grace.readiness"
	graceDrain     name = "grace.drain"

	statusSocket name = "status.socket"
	statusListen name = "status.listen"
)
