/** The front door of mycel: every public name, listed one by one. */

export { createMemoryPeripherals } from './adapters/memory/peripherals.ts';
export type { OutboxOptions } from './runtime/message-types.ts';
export type { MemoryPeripherals } from './adapters/memory/peripherals.ts';
export type {
  I2cAddress,
  Peripherals,
  PinAddress,
  SerialLine,
  SerialOptions,
} from './ports/peripherals.ts';
export { createHardware } from './adapters/hardware/hardware.ts';
export { blockDeviceOf, mountOf } from './adapters/system/mounts.ts';
export type { Mount } from './adapters/system/mounts.ts';
export { listSystemDirectory, readSystemFile } from './adapters/system/system-file.ts';
export type { SystemRoot } from './adapters/system/system-file.ts';
export { capabilitiesOf } from './runtime/device/capabilities.ts';
export type { DeviceFacts, Hardware } from './ports/hardware.ts';
export type { DeviceHandle } from './agent/device.ts';
export type { AgentHandles } from './agent/furniture.ts';
export { defineAgent } from './agent/agent.ts';
export type {
  AgentDefinition,
  AgentLlmHandle,
  AgentMessage,
  AgentSelf,
  AgentsHandle,
  AgentTask,
  Ecosystem,
  EcosystemPlan,
} from './agent/agent.ts';
export type { TaskHandle, TaskHandler, TasksHandle } from './agent/tasks.ts';
export type { AgreementsHandle } from './agent/agreements.ts';
export type { Allotment, AllotmentOptions } from './runtime/agreements/allotments.ts';
export type {
  BallotOutcome,
  BallotPaper,
  BallotRequest,
  Voter,
} from './runtime/agreements/ballots.ts';
export type {
  BargainOptions,
  BargainPartner,
  BargainWish,
  Deal,
} from './runtime/agreements/bargains.ts';
export type { Market, MarketOptions, Order, Trade } from './runtime/agreements/markets.ts';
export type { BallotRule } from './protocol/agreement/ballot.ts';
export {
  concedingBargainer,
  equilibriumBargainer,
  rubinsteinShare,
} from './protocol/agreement/alternating-offers.ts';
export type { Bargainer } from './protocol/agreement/alternating-offers.ts';
export type { WorkFunction, WorkHandle, WorkItems, WorkRunOptions } from './agent/spread-work.ts';
export type { WorkOptions } from './runtime/distribution/work-types.ts';
export type { BidFacts } from './protocol/agreement/task-cost.ts';
export { createFence as createTaskFence } from './protocol/agreement/fence.ts';
export type { Fence as TaskFence, FenceVerdict } from './protocol/agreement/fence.ts';
export {
  createAdaptiveShade,
  createCostBidder,
  equilibriumShade,
  fixedShade,
  truthfulStrategy,
} from './protocol/agreement/shading.ts';
export type { BidStrategy, CostBidder } from './protocol/agreement/shading.ts';
export type { TaskFigures } from './runtime/tasks/figures.ts';
export type { BatchRequest, TaskRequest } from './runtime/tasks/task-request.ts';
export type { AuctionInfo, TaskInfo } from './runtime/tasks/task-types.ts';
export type {
  AgentHealth,
  AgentInfo,
  Deployed,
  DeployOptions,
} from './runtime/agents/deploy-options.ts';
export { action, defineService, streamAction } from './agent/service.ts';
export type {
  Action,
  ActionSchemas,
  ServiceClient,
  ServiceDefinition,
  ServiceHandles,
  StreamAction,
} from './agent/service.ts';
export type { ServiceCallOptions } from './runtime/services/caller.ts';
export type { ActionContext } from './runtime/services/host.ts';
export type { ActionDescription } from './runtime/services/describing.ts';
export type { ServiceInfo } from './runtime/services/services.ts';
export type { Cache, CacheHandle, CacheOptions, CacheStats } from './agent/cache.ts';
export type { MergeReport, PartitionsHandle } from './agent/partitions.ts';
export type { EmitOptions, EventQuery, EventsHandle, MeshEvent } from './agent/events.ts';
export type {
  BoundedCounter,
  Counter,
  Extreme,
  Flag,
  Json,
  MultiRegister,
  Register,
  SharedDocument,
  SharedText,
  StateChange,
  StateHandle,
  StateMap,
  StateQuery,
  StateRow,
  StateSchema,
  StateSet,
} from './agent/state-types.ts';
export type { StateStatus } from './runtime/state/state-room.ts';
export { listInterfaces } from './adapters/system/interfaces.ts';
export type { InterfaceKind, NetInterface } from './adapters/system/interfaces.ts';
import { furnish } from './agent/furniture.ts';
import type { AgentHandles } from './agent/furniture.ts';
import type { MeshNode, NodeOptions } from './runtime/mesh-node.ts';
import { createMeshNode } from './runtime/node.ts';
import { checkOptions } from './runtime/options.ts';
import { createSystemAdapters } from './system-adapters.ts';

/**
 * Builds a node of this computer; `start()` it next. Several nodes in one process need a data directory and a port each.
 * @throws {MycelError} MYCEL_BAD_OPTION, and what opening the data directory throws.
 */
export async function createNode(options: NodeOptions = {}): Promise<MeshNode & AgentHandles> {
  const checked = checkOptions(options);
  return createMeshNode(checked, createSystemAdapters(checked), furnish);
}

export type { LlmAnswer } from './runtime/llm/answer.ts';
export type { LlmRound, LlmStep } from './runtime/llm/tool-loop.ts';
export type { LlmTool, LlmToolStep, ToolPolicy, ToolWish } from './runtime/llm/tools.ts';
export type { LlmChatRequest, LlmHandle, LlmOptions } from './agent/llm.ts';
export type {
  LlmAdvert,
  LlmAsk,
  LlmClaim,
  LlmKnown,
  LlmEvent,
  LlmExtraFields,
  LlmPlace,
  LlmLoan,
  LlmLoanWish,
  LlmProvider,
  LlmReading,
  LlmUsage,
} from './ports/language-model.ts';
export type {
  ClusterWideOptions,
  Config,
  ConfigChange,
  ConfigDeclaration,
  ConfigSchema,
  ConsensusReadOptions,
} from './agent/config.ts';
export type { ConfigAnswer, ConfigRecord, ConflictStrategy } from './agent/config-book.ts';
export type { EffectOptions, EffectRequest, EffectsHandle } from './agent/effects.ts';
export type { LeaderView, Singleton, SingletonTask } from './agent/elect.ts';
export type { JsonValue } from './agent/json.ts';
export type { Kv, KvEntry, KvExpectation, KvSwap } from './agent/kv.ts';
export { createFence } from './agent/lock.ts';
export type { Fence, Held, LockOptions, SemaphoreOptions } from './agent/lock.ts';
export type { BarrierOptions, Sequence } from './agent/meeting.ts';
export { version } from './runtime/version.ts';
export { MycelError, errorCatalogue } from './kernel/errors.ts';
export type { ErrorCode } from './kernel/errors.ts';
export { isNodeId, parseNodeId } from './kernel/ids.ts';
export type { MeshId, NodeId } from './kernel/ids.ts';
export { parseSelector } from './protocol/placement/selector.ts';
export type { BlobInfo, BlobOptions, Blobs } from './runtime/blobs/blobs.ts';
export type { InstallReport } from './protocol/rollout/messages.ts';
export type { RolloutOptions, RolloutStatus } from './runtime/update/rollout-desk.ts';
export type { Launch } from './runtime/update/launch.ts';
export type { Updates } from './runtime/update/updates.ts';
export type {
  AdvertisedService,
  ChannelOptions,
  DiscoveryReport,
  GuestInfo,
  Invite,
  InviteOptions,
  MemberInfo,
  MemberState,
  MeshEvents,
  MeshMessage,
  MeshNode,
  NodeOptions,
  NodeStatus,
  PendingMember,
  Published,
  PublishOptions,
  SubscribeOptions,
} from './runtime/mesh-node.ts';
export type { ExplainHandle } from './runtime/explain/explain.ts';
export type {
  ExplainedFates,
  ExplainedHop,
  ExplainedNode,
  ExplainedReceiver,
  ExplainedStation,
  MessageExplanation,
  TopicExplanation,
} from './runtime/explain/explanation.ts';
export type { ListenerGroup, ListenerNode, ListenersReport } from './runtime/routing/listeners.ts';
export type { TopologyEvent, TopologyOptions, TopologyReport } from './runtime/topology.ts';
