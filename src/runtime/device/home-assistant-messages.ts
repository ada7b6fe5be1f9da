/**
 * A board as a device of Home Assistant: MQTT device discovery, one retained message per device.
 * Abbreviated keys as Home Assistant reads them: dev (device), o (origin), cmps (components), p (platform).
 */

import type { NodeId } from '../../kernel/ids.ts';
import type { DeviceFacts } from '../../ports/hardware.ts';

/** Label by which the nodes that show themselves to Home Assistant know each other. */
export const homeAssistantLabel = 'home-assistant';

/** Topics of one node. */
export interface HomeAssistantTopics {
  readonly config: string;
  readonly state: string;
  readonly availability: string;
  /** Home Assistant says here that it has started. */
  readonly birth: string;
}

/** The topics: the node's own part carries its id, so that no two boards share one. */
export function homeAssistantTopics(node: NodeId, prefix: string): HomeAssistantTopics {
  return {
    config: `${prefix}/device/mycel_${node}/config`,
    state: `mycel/${node}/state`,
    availability: `mycel/${node}/availability`,
    birth: `${prefix}/status`,
  };
}

/** Payloads of the availability topic: the defaults of Home Assistant. */
export const availability = { online: 'online', offline: 'offline' } as const;

/** Who the device is. */
export interface HomeAssistantDevice {
  readonly node: NodeId;
  readonly name: string;
  readonly version: string;
  readonly facts: DeviceFacts;
  readonly prefix: string;
  /** After so long without a state the values are unknown, in seconds. */
  readonly expireSeconds: number;
}

/** The discovery message. Only what the board can tell becomes an entity. */
export function homeAssistantConfig(device: HomeAssistantDevice): string {
  const { node, name, version, facts, expireSeconds } = device;
  const topics = homeAssistantTopics(node, device.prefix);
  const components = Object.fromEntries(
    entitiesOf(facts).map(({ key, ...entity }) => [
      key,
      {
        ...entity,
        value_template: `{{ value_json.${key} }}`,
        unique_id: `mycel_${node}_${key}`,
        default_entity_id: `${entity.p}.mycel_${slug(name)}_${key}`,
        expire_after: expireSeconds,
        entity_category: 'diagnostic',
      },
    ]),
  );
  return JSON.stringify({
    dev: {
      ids: [`mycel_${node}`],
      name,
      mf: 'mycel',
      mdl: facts.model ?? facts.architecture,
      sw: version,
    },
    o: { name: 'mycel', sw: version },
    state_topic: topics.state,
    availability_topic: topics.availability,
    qos: 1,
    cmps: components,
  });
}

/** The state message: one JSON object for all entities. */
export function homeAssistantState(facts: DeviceFacts): string {
  const { cpu, memory, temperatureC, disk, power } = facts;
  return JSON.stringify({
    load: cpu.load,
    memory: Math.round(memory.availableBytes / 1024 / 1024),
    ...(temperatureC === undefined ? {} : { temperature: temperatureC }),
    ...(disk === undefined ? {} : { disk: Math.round(disk.freeBytes / 1024 / 1024) }),
    ...(power.batteryShare === undefined ? {} : { battery: Math.round(power.batteryShare * 100) }),
    ...(power.isUndervolted === undefined ? {} : { power: power.isUndervolted ? 'ON' : 'OFF' }),
  });
}

interface Entity {
  readonly key: string;
  readonly p: 'sensor' | 'binary_sensor';
  readonly name: string;
  readonly device_class?: string;
  readonly unit_of_measurement?: string;
  readonly state_class?: string;
}

function entitiesOf(facts: DeviceFacts): Entity[] {
  const sensor = (key: string, name: string, unit?: string, deviceClass?: string): Entity => ({
    key,
    p: 'sensor',
    name,
    state_class: 'measurement',
    ...(unit === undefined ? {} : { unit_of_measurement: unit }),
    ...(deviceClass === undefined ? {} : { device_class: deviceClass }),
  });
  return [
    sensor('load', 'Load'),
    sensor('memory', 'Memory available', 'MiB', 'data_size'),
    ...(facts.temperatureC === undefined
      ? []
      : [sensor('temperature', 'Temperature', '°C', 'temperature')]),
    ...(facts.disk === undefined ? [] : [sensor('disk', 'Disk free', 'MiB', 'data_size')]),
    ...(facts.power.batteryShare === undefined
      ? []
      : [sensor('battery', 'Battery', '%', 'battery')]),
    ...(facts.power.isUndervolted === undefined
      ? []
      : [
          {
            key: 'power',
            p: 'binary_sensor' as const,
            name: 'Power supply too weak',
            device_class: 'problem',
          },
        ]),
  ];
}

function slug(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '_') || 'board';
}
