/**
 * Shows the boards of the mesh to Home Assistant. Each node speaks for itself; for one that died, the living member with
 * the lowest id says so, since the mesh has no single broker that could keep a last will.
 */

import type { Hardware } from '../../ports/hardware.ts';
import {
  availability,
  homeAssistantConfig,
  homeAssistantLabel,
  homeAssistantState,
  homeAssistantTopics,
} from './home-assistant-messages.ts';
import type { MemberInfo } from '../mesh-node.ts';
import type { NodePart, PartWorld } from '../parts.ts';
import { version } from '../version.ts';

/** Pause between states, in ms. */
const stateMs = 60_000;

/** After so many missed states the values are unknown. */
const missedStates = 3;

/** Everybody answers Home Assistant's start; spread over so long, in ms. */
const birthJitterMs = 3_000;

/** Builds the part. */
export function createHomeAssistant(
  world: PartWorld,
  hardware: Hardware,
  prefix: string,
): NodePart {
  const { node, clock, log } = world;
  const random = world.random();
  const topics = homeAssistantTopics(node.id, prefix);
  const stops: (() => void)[] = [];
  let cancelState = (): void => {};
  let cancelBirth = (): void => {};

  function publish(topic: string, payload: string): void {
    node.publish(topic, payload, { qos: 1, retain: true }).catch((error: unknown) => {
      log.warn({ topic, error }, 'Home Assistant could not be told');
    });
  }

  function introduce(): void {
    const facts = hardware.read();
    const expireSeconds = (missedStates * stateMs) / 1000;
    const { id, name } = node;
    publish(
      topics.config,
      homeAssistantConfig({ node: id, name, version, facts, prefix, expireSeconds }),
    );
    publish(topics.availability, availability.online);
    tellState();
  }

  function tellState(): void {
    cancelState();
    publish(topics.state, homeAssistantState(hardware.read()));
    cancelState = clock.alarm(clock.now() + stateMs, tellState);
  }

  /** Exactly one of the living speaks for the dead; when membership is of two minds both say the same. */
  function maySpeakFor(dead: MemberInfo): boolean {
    const living = node
      .members()
      .filter(({ id, state, labels }) => id !== dead.id && state === 'alive' && isShown(labels))
      .map(({ id }) => id);
    return [...living, node.id].sort()[0] === node.id;
  }

  function memberChanged(member: MemberInfo): void {
    if (member.isSelf || !isShown(member.labels)) return;
    const isGone = member.state === 'dead' || member.state === 'left';
    if (!isGone || !maySpeakFor(member)) return;
    publish(homeAssistantTopics(member.id, prefix).availability, availability.offline);
  }

  return {
    async start() {
      stops.push(node.on('member', memberChanged));
      stops.push(
        node.subscribe(topics.birth, ({ payload }) => {
          if (new TextDecoder().decode(payload) !== availability.online) return;
          cancelBirth();
          cancelBirth = clock.alarm(clock.now() + random.below(birthJitterMs), introduce);
        }),
        // Another node was of the mind that this one is dead.
        node.subscribe(topics.availability, ({ payload, origin }) => {
          const isWrong = new TextDecoder().decode(payload) === availability.offline;
          if (isWrong && origin !== node.id) publish(topics.availability, availability.online);
        }),
        // What was published in a mesh of one did not come along.
        node.on('joined', introduce),
      );
      introduce();
    },
    async stop() {
      cancelState();
      cancelBirth();
      for (const stop of stops.splice(0)) stop();
      publish(topics.availability, availability.offline);
    },
  };
}

function isShown(labels: Readonly<Record<string, string>>): boolean {
  return labels[homeAssistantLabel] !== undefined;
}
