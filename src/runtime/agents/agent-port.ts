/** What an agent may ask of its node: publish, call, send, checkpoint, watch others, use its board and language models. */

import { MycelError } from '../../kernel/errors.ts';
import { neighboursOf } from '../../protocol/placement/society.ts';
import type { SocietyShape } from '../../protocol/placement/society.ts';
import type { PartWorld } from '../parts.ts';
import type { ServiceCallOptions } from '../services/caller.ts';
import type { Services } from '../services/services.ts';
import { createAgentDevice } from './agent-device.ts';
import type { AgentDevice } from './agent-device.ts';
import { createAgentLlm } from './agent-llm.ts';
import type { AgentLlm, ModelsFor } from './agent-llm.ts';
import type { Checkpoints } from './checkpoints.ts';
import type { Claims } from './claims.ts';

/** Subscriptions of one agent. */
export const agentSubscriptionsMax = 32;

/** Who asks. `endsWith`: what ends with this run of it. */
export interface Asking {
  readonly agent: string;
  readonly instance: string;
  readonly epoch: number;
  readonly endsWith: (() => void)[];
}

/** The port. */
export interface AgentPort {
  perform(asking: Asking, op: string, args: readonly unknown[]): Promise<unknown>;
}

/** Builds it. */
export function createAgentPort(parts: {
  readonly world: PartWorld;
  readonly services: Services;
  readonly checkpoints: Checkpoints;
  readonly claims: Claims;
  readonly modelsFor: ModelsFor;
  /** Resolves when agents here may act; undefined: there is no doubt. */
  pass(): Promise<void> | undefined;
  deliver(instance: string, message: unknown, mayDropOldest: boolean): boolean;
  send(to: string, body: unknown, from: string): Promise<void>;
  society(agent: string): SocietyShape;
  /** Links two instances, on the nodes of both. @throws {MycelError} MYCEL_UNKNOWN_AGENT, MYCEL_BAD_OPTION */
  tie(instance: string, other: string): Promise<void>;
}): AgentPort {
  const { world, services, checkpoints, claims } = parts;
  const devices = new WeakMap<Asking['endsWith'], AgentDevice>();
  const asked = new WeakMap<Asking['endsWith'], AgentLlm>();

  /** What this run has open at the board ends with it. */
  function deviceOf({ instance, endsWith }: Asking): AgentDevice {
    const known = devices.get(endsWith);
    if (known !== undefined) return known;
    const device = createAgentDevice(world.adapters.peripherals, (message) => {
      if (!parts.deliver(instance, message, true)) world.metrics.drop('agent', 'mailbox');
    });
    devices.set(endsWith, device);
    endsWith.push(() => {
      devices.delete(endsWith);
      device.end();
    });
    return device;
  }

  /** What this run has asked of language models is given up with it. */
  function llmOf({ agent, endsWith }: Asking): AgentLlm {
    const known = asked.get(endsWith);
    if (known !== undefined) return known;
    const llm = createAgentLlm(parts.modelsFor(agent, parts.pass));
    asked.set(endsWith, llm);
    endsWith.push(() => {
      asked.delete(endsWith);
      llm.end();
    });
    return llm;
  }

  const neighbours = (agent: string, instance: string): readonly string[] => {
    const mine = claims.all().filter((claim) => claim.agent === agent && claim.state === 'running');
    const members = new Set([...mine.map((claim) => claim.instance), instance]);
    return neighboursOf(parts.society(agent), [...members], instance);
  };

  return {
    async perform(asking, op, args) {
      const { agent, instance, epoch, endsWith } = asking;
      const [first, second, third] = args;
      switch (op) {
        case 'publish': {
          const payload = second instanceof Uint8Array ? second : String(second);
          const options = (third ?? {}) as { qos?: 0 | 1; retain?: boolean };
          await world.node.publish(String(first), payload, options);
          return undefined;
        }
        case 'subscribe': {
          if (endsWith.length >= agentSubscriptionsMax) {
            throw new MycelError('MYCEL_BAD_OPTION', {
              reason: `An agent has ${agentSubscriptionsMax} subscriptions at most.`,
            });
          }
          const end = world.node.subscribe(String(first), ({ topic, payload, retain }) => {
            const message = { type: 'message', topic, payload: Uint8Array.from(payload), retain };
            if (!parts.deliver(instance, message, true)) world.metrics.drop('agent', 'mailbox');
          });
          endsWith.push(end);
          return undefined;
        }
        case 'call':
          return services.call(String(first), second ?? {}, (third ?? {}) as ServiceCallOptions);
        case 'send':
          return parts.send(String(first), second, instance);
        case 'neighbours':
          return neighbours(agent, instance);
        case 'tell': {
          const near = neighbours(agent, instance);
          const said = await Promise.allSettled(
            near.map((other) => parts.send(other, first, instance)),
          );
          return said.filter(({ status }) => status === 'fulfilled').length;
        }
        case 'checkpoint':
          return checkpoints.save(instance, epoch, first);
        case 'monitor': {
          const ref = claims.ties.monitor(instance, String(first));
          if (ref === undefined)
            throw new MycelError('MYCEL_BAD_OPTION', { reason: 'Too many monitors.' });
          if (claims.holder(String(first)) === undefined) {
            claims.ties.demonitor(ref);
            parts.deliver(
              instance,
              { type: 'down', instance: first, reason: 'unknown', ref },
              true,
            );
          }
          return ref;
        }
        case 'demonitor':
          claims.ties.demonitor(Number(first));
          return undefined;
        case 'link':
          await parts.tie(instance, String(first));
          return undefined;
        case 'device':
          return deviceOf(asking).perform(String(first), args.slice(1));
        case 'llm':
          return llmOf(asking).perform(String(first), args.slice(1));
        case 'log':
          world.log.info({ agent, instance }, String(first).slice(0, 2_000));
          return undefined;
        default:
          throw new MycelError('MYCEL_BAD_OPTION', {
            reason: `An agent cannot ask for '${op.slice(0, 32)}'.`,
          });
      }
    },
  };
}
