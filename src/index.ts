/** The front door of mycel: every public name, listed one by one. */

export { listInterfaces } from './adapters/system/interfaces.ts';
export type { InterfaceKind, NetInterface } from './adapters/system/interfaces.ts';
export { MycelError, errorCatalogue } from './kernel/errors.ts';
export type { ErrorCode } from './kernel/errors.ts';
export { isNodeId, parseNodeId } from './kernel/ids.ts';
export type { MeshId, NodeId } from './kernel/ids.ts';
export type {
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
  PublishOptions,
  SubscribeOptions,
} from './runtime/mesh-node.ts';
