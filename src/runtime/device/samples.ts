/** What a node shows to a metrics scraper: its own counters, the mesh as it sees it, and the board under it. */

import type { DeviceFacts } from '../../ports/hardware.ts';
import type { Sample } from '../../wire/prometheus.ts';
import type { NodeStatus } from '../mesh-node.ts';

/** Builds the samples. Peers are told by name: the same words as in `mycel status`. */
export function samplesOf(status: NodeStatus, facts: DeviceFacts): readonly Sample[] {
  return [...nodeSamples(status), ...meshSamples(status), ...boardSamples(facts)];
}

function gauge(name: string, help: string, value: number | undefined): Sample {
  return { name, help, type: 'gauge', value };
}

function nodeSamples(status: NodeStatus): Sample[] {
  const { node, name, mesh, version, metrics } = status;
  return [
    {
      ...gauge('info', 'The node; the value is always 1.', 1),
      labels: { node, name, mesh: mesh.name, version },
    },
    gauge('uptime_seconds', 'Time since the start.', status.uptimeMs / 1000),
    gauge('resident_memory_bytes', 'Memory of the process.', status.rssBytes),
    gauge('loop_lag_seconds', 'How long the event loop was stuck lately.', status.loopLagMs / 1000),
    gauge('warnings', 'Things that are wrong now: see mycel status.', status.warnings.length),
    gauge('mqtt_clients', 'Plain MQTT clients connected here.', status.clients.length),
    ...Object.entries(metrics.counters).map(([key, value]): Sample => ({
      name: `${key}_total`,
      help: `Counter ${key} of the node.`,
      type: 'counter',
      value,
    })),
    ...Object.entries(metrics.gauges).map(([key, value]) =>
      gauge(key, `Gauge ${key} of the node.`, value),
    ),
    ...Object.entries(metrics.drops).map(([key, value]): Sample => {
      const [where = '', ...reason] = key.split(': ');
      return {
        name: 'drops_total',
        help: 'What was lost or refused, and why.',
        type: 'counter',
        labels: { where, reason: reason.join(': ') },
        value,
      };
    }),
  ];
}

function meshSamples({ members, links }: NodeStatus): Sample[] {
  return [
    ...Object.entries(members).map(([state, value]) => ({
      ...gauge('members', 'Members by state, as this node sees them.', value),
      labels: { state },
    })),
    gauge('links', 'Open links to peers.', links.length),
    ...links.flatMap(({ name, rttMs, queuedBytes }) => [
      {
        ...gauge('link_rtt_seconds', 'Round trip over the link.', rttMs && rttMs / 1000),
        labels: { peer: name },
      },
      {
        ...gauge('link_queued_bytes', 'Bytes that wait on the link.', queuedBytes),
        labels: { peer: name },
      },
    ]),
  ];
}

function boardSamples(facts: DeviceFacts): Sample[] {
  const { cpu, memory, temperatureC, power, disk } = facts;
  const flag = (value: boolean | undefined): number | undefined =>
    value === undefined ? undefined : Number(value);
  return [
    gauge('board_load', 'Processes that ran or waited, averaged over a minute.', cpu.load),
    gauge('board_cores', 'Processor cores.', cpu.cores),
    gauge('board_memory_bytes', 'Memory of the board.', memory.totalBytes),
    gauge('board_memory_available_bytes', 'Memory programs could take.', memory.availableBytes),
    gauge('board_temperature_celsius', 'Of the warmest sensor.', temperatureC),
    gauge('board_undervolted', '1 while the power supply is too weak.', flag(power.isUndervolted)),
    gauge('board_throttled', '1 while the processor is held back.', flag(power.isThrottled)),
    gauge('board_battery_ratio', 'Charge of the battery.', power.batteryShare),
    gauge('board_disk_free_bytes', 'Room under the data directory.', disk?.freeBytes),
    gauge('board_disk_wear_ratio', 'Used share of its write life.', disk?.wearShare),
  ];
}
