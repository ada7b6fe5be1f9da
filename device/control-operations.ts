/** What each request of the control socket does to the node. */

import type { AgentHandles, MeshEvents, MeshNode, NodeId } from 'mycel';

import { pick, resolveMember } from './member-choice.ts';
import { isAgentRequest, runAgentCall } from './control-agents.ts';
import type { AgentRequest } from './control-agents.ts';
import { runBlobCall } from './blob-operations.ts';
import { isBlobRequest } from './control-blobs.ts';
import type { BlobRequest } from './control-blobs.ts';
import { Failure } from './failure.ts';
import { isConfigRequest, runConfigCall } from './control-config.ts';
import type { ConfigRequest } from './control-config.ts';
import { isDecisionRequest, openLock, runDecisionCall } from './control-decisions.ts';
import type { DecisionRequest } from './control-decisions.ts';
import { isLlmRequest, openLlmStream, runLlmCall } from './control-llm.ts';
import type { LlmRequest } from './control-llm.ts';
import type { CallName, ControlCalls, ControlRequest, ControlStreams } from './control-protocol.ts';
import { isStateCall, isStateStream, openStateStream, runStateCall } from './control-state.ts';
import type { StateCalls } from './control-state.ts';
import { isTaskCall, runTaskCall } from './control-tasks.ts';
import type { TaskCallRequest } from './control-tasks.ts';
import { isUpdateRequest, runUpdateCall } from './control-updates.ts';
import type { UpdateRequest } from './control-updates.ts';
import { autoTopology, setTopology } from './topology-operations.ts';

/** A request that has one answer. */
export type CallRequest = Extract<ControlRequest, { readonly op: CallName }>;

/** A request that is answered by a stream. */
export type StreamRequest = Exclude<ControlRequest, CallRequest>;

/** Whether the request opens a stream. */
export function isStreamRequest(request: ControlRequest): request is StreamRequest {
  const own = ['subscribe', 'events', 'lock', 'llm-ask'];
  return own.includes(request.op) || isStateStream(request);
}

/**
 * Runs one call.
 * @param down asks the daemon to stop; it does so after this answer is on its way.
 */
export async function runCall(
  node: MeshNode,
  request: CallRequest,
  down: () => void,
): Promise<ControlCalls[CallName]['result']> {
  if (isBlobRequest(request))
    return runBlobCall(node, request) as Promise<ControlCalls[CallName]['result']>;
  if (isAgentRequest(request)) return runAgentCall(node, request);
  if (isDecisionRequest(request)) return runDecisionCall(node, request);
  if (isConfigRequest(request)) return runConfigCall(node, request);
  if (isLlmRequest(request))
    return runLlmCall(node, request) as Promise<ControlCalls[CallName]['result']>;
  if (isStateCall(request)) return runStateCall(node, request);
  if (isTaskCall(request)) return runTaskCall(node, request);
  if (isUpdateRequest(request))
    return runUpdateCall(node, request) as Promise<ControlCalls[CallName]['result']>;
  switch (request.op) {
    case 'status':
      return node.status();
    case 'members':
      return node.members();
    case 'discover':
      return node.discover();
    case 'publish': {
      const { topic, payloadBase64, ...how } = request.args;
      return node.publish(topic, Buffer.from(payloadBase64, 'base64'), { ...how, named: true });
    }
    case 'pending':
      return node.pending();
    case 'approve':
      return approve(node, request.args.who);
    case 'revoke': {
      const { id, name } = resolveMember(node, request.args.who);
      await node.revoke(id);
      return { id, name };
    }
    case 'down':
      if (request.args.sleepMs !== undefined) await node.sleep(request.args.sleepMs);
      setImmediate(down);
      return {};
    default:
      return runMeshCall(node, request);
  }
}

/** The calls that change which mesh the node is in and who may enter it. */
async function runMeshCall(
  node: MeshNode,
  request: Exclude<
    CallRequest,
    {
      op:
        | AgentRequest['op']
        | BlobRequest['op']
        | DecisionRequest['op']
        | ConfigRequest['op']
        | LlmRequest['op']
        | keyof StateCalls
        | TaskCallRequest['op']
        | UpdateRequest['op']
        | 'status'
        | 'members'
        | 'discover'
        | 'publish'
        | 'pending'
        | 'approve'
        | 'revoke'
        | 'down';
    }
  >,
): Promise<ControlCalls[CallName]['result']> {
  switch (request.op) {
    case 'init':
      await node.found(request.args.mesh);
      return meshOf(node);
    case 'invite':
      return node.invite(request.args);
    case 'window':
      await node.openJoinWindow(request.args.ms);
      return {};
    case 'join':
      await node.join(request.args.invite);
      return meshOf(node);
    case 'leave':
      await node.leave();
      return {};
    case 'listeners':
      return node.listeners(request.args.topic);
    case 'explain-topic':
      return (node as MeshNode & AgentHandles).explain.topic(request.args.topic);
    case 'explain-message':
      return (node as MeshNode & AgentHandles).explain.message(request.args.message);
    case 'channels-set':
      return node.setChannels(channelsIn(request.args.json));
    case 'topology':
      return node.topology();
    case 'topology-set':
      return setTopology(node, request.args, (who) => resolveMember(node, who));
    case 'topology-auto':
      return autoTopology(node, request.args.hint);
    case 'guest-add': {
      const { name, password, publish, subscribe } = request.args;
      return node.addGuest(name, password, {
        ...(publish === undefined ? {} : { publish }),
        ...(subscribe === undefined ? {} : { subscribe }),
      });
    }
    case 'guest-ls':
      return node.guests();
    case 'guest-rm':
      await node.removeGuest(request.args.name);
      return {};
  }
}

/** Opens a stream; it ends when the signal aborts. Returns when the stream is open. */
export function openStream(
  node: MeshNode,
  request: StreamRequest,
  emit: (event: ControlStreams[keyof ControlStreams]['event']) => void,
  signal: AbortSignal,
): void {
  if (request.op === 'llm-ask') return openLlmStream(node, request.args, emit, signal);
  if (isStateStream(request)) {
    signal.addEventListener('abort', openStateStream(node, request, emit), { once: true });
    return;
  }
  if (request.op === 'subscribe') {
    const stop = node.subscribe(
      request.args.filter,
      (message) =>
        emit({
          topic: message.topic,
          payloadBase64: Buffer.from(
            message.payload.buffer,
            message.payload.byteOffset,
            message.payload.byteLength,
          ).toString('base64'),
          origin: message.origin,
          qos: message.qos,
          retain: message.retain,
          at: message.at,
          id: message.id,
        }),
      { signal },
    );
    signal.addEventListener('abort', stop, { once: true });
    return;
  }
  if (request.op === 'lock') return openLock(node, request.args, emit, signal);
  for (const name of eventNames) {
    const stop = node.on(name, (value) =>
      emit({ name, value } as ControlStreams['events']['event']),
    );
    signal.addEventListener('abort', stop, { once: true });
  }
}

/** Every event of a node; the compiler insists that none is missing. */
const eventNames = Object.keys({
  member: true,
  'member-up': true,
  'member-down': true,
  link: true,
  joined: true,
  pending: true,
  alert: true,
  gap: true,
  'given-up': true,
  expelled: true,
} satisfies Record<keyof MeshEvents, true>) as (keyof MeshEvents)[];

function channelsIn(json: string): Parameters<MeshNode['setChannels']>[0] {
  try {
    // What they may hold is the node's to say.
    return JSON.parse(json) as Parameters<MeshNode['setChannels']>[0];
  } catch (error) {
    throw new Failure(
      'MYCEL_CONTROL_REQUEST',
      `The channels are no JSON: ${String(error)}.`,
      'Use the "mycel" command of the same version as the node.',
    );
  }
}

async function approve(node: MeshNode, who: string): Promise<{ id: NodeId; name: string }> {
  const waiting = node.pending();
  const digits = who.replace(/[\s-]/g, '');
  const byCode = /^\d{6}$/.test(digits) ? waiting.filter(({ code }) => code === digits) : [];
  const found =
    byCode.length === 1 && byCode[0] !== undefined
      ? byCode[0]
      : pick(waiting, who, 'newcomer', 'See "mycel pending" for who waits.');
  await node.approve(found.id);
  return { id: found.id, name: found.name };
}

function meshOf(node: MeshNode): { id: string; name: string } {
  const { id, name } = node.status().mesh;
  return { id, name };
}
