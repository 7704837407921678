"""What the API has and the laboratory never sets: properties and fields, by type.

A client may ask for them, and gets an answer without them, as from a product in which they are unset. A
test holds declared and omitted names together to pyVmomi's table, so that only a path that no version
of the API has is an invalid one.
"""

from functools import cache
from typing import Final

_TABLE: Final = """
AlarmManager: defaultExpression description
AlarmSpec: action actionFrequency setting
AlarmState: eventKey
AuthorizationManager: description
ClusterComputeResource: configuration recommendation drsRecommendation summaryEx hciConfig
    migrationHistory actionHistory drsFault
ClusterComputeResourceSummary: admissionControlInfo targetBalance currentBalance drsScore
    numVmsPerDrsScoreBucket usageSummary currentEVCModeKey currentEVCGraphicsModeKey dasData
    clusterMaintenanceModeStatus vcsHealthStatus vcsSlots
ClusterConfigInfoEx: systemVMsConfig dasVmConfig drsVmConfig rule orchestration vmOrchestration
    dpmConfigInfo dpmHostConfig vsanHostConfig group infraUpdateHaConfig proactiveDrsConfig
    vsanCoreConfig
ClusterDasConfigInfo: vmMonitoring hostMonitoring vmComponentProtecting failoverLevel
    admissionControlPolicy admissionControlEnabled defaultVmSettings option heartbeatDatastore
    hBDatastoreCandidatePolicy
ClusterDrsConfigInfo: enableVmBehaviorOverrides defaultVmBehavior vmotionRate scaleDescendantsShares
    option
ComputeResource: environmentBrowser lifecycleManaged configManagerEnabled networkBootMode
ComputeResourceConfigInfo: spbmEnabled defaultHardwareVersionKey maximumHardwareVersionKey
CustomFieldDef: managedObjectType fieldDefPrivileges fieldInstancePrivileges
Datacenter: configuration
Datastore: iormConfiguration
DatastoreCapability: topLevelDirectoryCreateSupported seSparseSupported vmfsSparseSupported
    vsanSparseSupported upitSupported vmdkExpandSupported clusteredVmdkSupported
DatastoreInfo: maxVirtualDiskCapacity timestamp containerId aliasOf supportedVDiskFormats
    logicalSectorSize physicalSectorSize
Event: computeResource ds net dvs changeTag
EventAlarmExpression: comparisons
EventDescription: enumeratedTypes
EventDescriptionEventDetail: longDescription
EventEx: fault
EventFilterSpec: tag delayedInit
ExtensibleManagedObject: value availableField
FileInfo: friendlyName modification owner
Folder: namespace externallyManagedFolderInfo
GuestInfo: toolsStatus toolsVersionStatus toolsVersion toolsInstallType guestFamily
    guestDetailedData hostName ipAddress net ipStack disk screen appHeartbeatStatus
    guestKernelCrashed appState guestOperationsReady interactiveGuestOperationsReady
    guestStateChangeSupported generationInfo hwVersion customizationInfo
HostConfigManager: cpuScheduler datastoreSystem memoryManager storageSystem networkSystem
    vmotionSystem virtualNicManager serviceSystem firewallSystem advancedOption diagnosticSystem
    autoStartManager snmpSystem dateTimeSystem patchManager imageConfigManager bootDeviceSystem
    firmwareSystem healthStatusSystem pciPassthruSystem licenseManager kernelModuleSystem
    authenticationManager powerSystem cacheConfigurationManager esxAgentHostManager iscsiManager
    vFlashManager vsanSystem messageBusProxy userDirectory accountManager hostAccessManager
    graphicsManager vsanInternalSystem certificateManager nvdimmSystem assignableHardwareManager
HostConfigSummary: sslThumbprint sslCertificate featureVersion agentVmDatastore agentVmNetwork
HostDatastoreBrowser: supportedType
HostDatastoreBrowserSearchSpec: query details sortFoldersFirst
HostHardwareSummary: family otherIdentifyingInfo
HostListSummary: customValue managementServerIp maxEVCModeKey currentEVCModeKey
    currentEVCGraphicsModeKey gateway tpmAttestation trustAuthorityAttestationInfos
HostListSummaryQuickStats: distributedCpuFairness distributedMemoryFairness availablePMemCapacity
HostMountInfo: inaccessibleReason vmknicName vmknicActive mountFailedReason numTcpConnections
HostRuntimeInfo: standbyMode inQuarantineMode bootTime healthSystemRuntime dasHostState tpmPcrValues
    vsanRuntimeInfo networkRuntimeInfo vFlashResourceRuntimeInfo hostMaxVirtualDiskCapacity
    statelessNvdsMigrationReady partialMaintenanceMode stateEncryption
HostSystem: hardware capability licensableResource remediationState precheckRemediationResult
    remediationResult complianceCheckState complianceCheckResult config datastoreBrowser
    systemResources answerFileValidationState answerFileValidationResult
ManagedEntity: customValue configIssue disabledMethod recentTask declaredAlarmState tag
NetworkSummary: ipPoolId
PbmCapabilityProfile: systemCreatedProfileType lineOfService
PbmCapabilityPropertyInstance: operator
PbmCapabilitySubProfile: forceProvision
PbmServiceInstanceContent: replicationManager
ResourcePool: summary runtime config namespace childConfiguration
ServiceInstance: capability
SessionManager: message
TaskManager: description
ToolsConfigInfo: toolsInstallType beforeGuestReboot toolsUpgradePolicy pendingCustomization
    customizationKeyId syncTimeWithHostAllowed syncTimeWithHost lastInstallInfo
VirtualDevice: connectable slotInfo numaNode deviceGroupInfo
VirtualDeviceConfigSpec: filterSpec changeMode
VirtualDisk: shares storageIOAllocation diskObjectId vFlashCacheConfigInfo iofilter vDiskId
    vDiskVersion virtualDiskFormat nativeUnmanagedLinkedClone independentFilters guestReadOnly
VirtualDiskFlatVer2BackingInfo: split writeThrough eagerlyScrub contentId changeId
    deltaDiskFormat digestEnabled deltaGrainSize deltaDiskFormatVariant
VirtualHardware: autoCoresPerSocket virtualICH7MPresent virtualSMCPresent motherboardLayout
    simultaneousThreads
VirtualMachine: capability layout layoutEx storage environmentBrowser parentVApp resourceConfig
VirtualMachineCloneSpec: customization
VirtualMachineConfigInfo: npivNodeWorldWideName npivPortWorldWideName npivWorldWideNameType
    npivDesiredNodeWwns npivDesiredPortWwns npivTemporaryDisabled npivOnNonRdmDisks locationId
    annotation consolePreferences rebootPowerOff vcpuConfig cpuAllocation memoryAllocation
    latencySensitivity memoryHotAddEnabled cpuHotAddEnabled cpuHotRemoveEnabled hotPlugMemoryLimit
    hotPlugMemoryIncrementSize cpuAffinity memoryAffinity networkShaper cpuFeatureMask datastoreUrl
    swapPlacement bootOptions ftInfo repConfig vAppConfig vAssertsEnabled changeTrackingEnabled
    firmware maxMksConnections guestAutoLockEnabled managedBy memoryReservationLockedToMax
    initialOverhead nestedHVEnabled vPMCEnabled scheduledHardwareUpgradeInfo forkConfigInfo
    vFlashCacheReservation vmxConfigChecksum messageBusTunnelEnabled vmStorageObjectId
    swapStorageObjectId guestIntegrityInfo sgxInfo contentLibItemInfo guestMonitoringModeInfo
    sevEnabled numaInfo pmemFailoverEnabled vmxStatsCollectionEnabled vmOpNotificationToAppEnabled
    vmOpNotificationTimeout deviceSwap pmem deviceGroups fixedPassthruHotPlugEnabled metroFtEnabled
    vmxRuntimeConfig metroFtHostGroup tdxEnabled sevSnpEnabled
VirtualMachineConfigSpec: changeVersion version createDate uuid instanceUuid npivNodeWorldWideName
    npivPortWorldWideName npivWorldWideNameType npivDesiredNodeWwns npivDesiredPortWwns
    npivTemporaryDisabled npivOnNonRdmDisks npivWorldWideNameOp locationId guestId
    alternateGuestName annotation tools flags consolePreferences powerOpInfo rebootPowerOff numCPUs
    vcpuConfig numCoresPerSocket memoryMB memoryHotAddEnabled cpuHotAddEnabled cpuHotRemoveEnabled
    virtualICH7MPresent virtualSMCPresent cpuAllocation memoryAllocation latencySensitivity
    cpuAffinity memoryAffinity networkShaper cpuFeatureMask extraConfig swapPlacement bootOptions
    vAppConfig ftInfo repConfig vAppConfigRemoved vAssertsEnabled changeTrackingEnabled firmware
    maxMksConnections guestAutoLockEnabled managedBy memoryReservationLockedToMax nestedHVEnabled
    vPMCEnabled scheduledHardwareUpgradeInfo messageBusTunnelEnabled sgxInfo guestMonitoringModeInfo
    sevEnabled virtualNuma motherboardLayout pmemFailoverEnabled vmxStatsCollectionEnabled
    vmOpNotificationToAppEnabled vmOpNotificationTimeout deviceSwap simultaneousThreads pmem
    deviceGroups fixedPassthruHotPlugEnabled metroFtEnabled metroFtHostGroup tdxEnabled
    sevSnpEnabled
VirtualMachineConfigSummary: cpuReservation memoryReservation annotation product installBootRequired
    ftInfo managedBy numVmiopBackings hwVersion
VirtualMachineDefaultPowerOpInfo: powerOffType suspendType resetType defaultPowerOffType
    defaultSuspendType defaultResetType standbyAction
VirtualMachineDefinedProfileSpec: replicationSpec profileData profileParams
VirtualMachineFlagInfo: disableAcceleration enableLogging useToe runWithDebugInfo monitorType
    htSharing snapshotDisabled snapshotLocked diskUuidEnabled virtualMmuUsage virtualExecUsage
    snapshotPowerOffBehavior recordReplayEnabled faultToleranceType cbrcCacheEnabled vvtdEnabled
    vbsEnabled
VirtualMachineGuestSummary: toolsStatus toolsVersionStatus toolsVersionStatus2 toolsRunningStatus
    hostName ipAddress hwVersion
VirtualMachineQuickStats: overallCpuDemand overallCpuReadiness distributedCpuEntitlement
    distributedMemoryEntitlement staticCpuEntitlement staticMemoryEntitlement grantedMemory
    privateMemory sharedMemory swappedMemory balloonedMemory consumedOverheadMemory ftLogBandwidth
    ftSecondaryLatency ftLatencyStatus compressedMemory ssdSwappedMemory activeMemory
    memoryTierStats
VirtualMachineRelocateSpec: service transform
VirtualMachineRelocateSpecDiskLocator: diskBackingInfo filterSpec
VirtualMachineRuntimeInfo: device vmFailoverInProgress dasVmProtection suspendTime suspendInterval
    question memoryOverhead maxCpuUsage maxMemoryUsage cleanPowerOff needSecondaryReason
    minRequiredEVCModeKey offlineFeatureRequirement featureRequirement featureMask
    vFlashCacheAllocation paused snapshotInBackground quiescedForkParent instantCloneFrozen
    suspendedToMemory opNotificationTimeout iommuActive
VirtualMachineSnapshot: config
VirtualMachineSnapshotTree: backupManifest replaySupported
VirtualMachineSummary: customValue
VsanClusterConfigInfo: vsanEsaEnabled
VsanClusterConfigInfoHostDefaultInfo: uuid checksumEnabled
"""


@cache
def omitted(type_name: str) -> frozenset[str]:
    """The names of a type itself that are never set."""
    return _BY_TYPE.get(type_name, frozenset())


def is_omitted(kind: type, name: str) -> bool:
    """Whether a type or one of its bases has a name that is never set."""
    return any(name in omitted(base.__name__) for base in kind.__mro__)


def _parsed(text: str) -> dict[str, frozenset[str]]:
    """Lines ``Type: names``; indented lines go on."""
    table: dict[str, list[str]] = {}
    type_name = ""
    for line in text.splitlines():
        head, colon, tail = line.partition(":")
        type_name = head if colon else type_name
        table.setdefault(type_name, []).extend((tail if colon else line).split())
    return {name: frozenset(names) for name, names in table.items()}


_BY_TYPE: Final = _parsed(_TABLE)
