/** Agents at a simulated board: sensors, pins, buses and serial lines, from a thread of their own. */

import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { createMemoryPeripherals } from '../../../src/adapters/memory/peripherals.ts';
import type { AgentHandles } from '../../../src/agent/furniture.ts';
import type { MeshNode } from '../../../src/runtime/mesh-node.ts';
import { startNode, textOf, until } from '../loopback.ts';

function heard(node: MeshNode, filter: string): Map<string, string> {
  const last = new Map<string, string>();
  node.subscribe(filter, (message) => void last.set(message.topic, textOf(message)));
  return last;
}

test('the thermometer of the docs publishes every sensor, and goes on when one of them fails', async () => {
  const board = createMemoryPeripherals();
  board.setSensor('28-00000000000a', undefined);
  board.setSensor('28-00000000000b', 21.437);
  const node: MeshNode & AgentHandles = await startNode('ann', {
    peripherals: board,
    capabilities: ['one-wire'],
  });
  const said = heard(node, 'room/#');
  const example = new URL('../../../docs/examples/thermometer-agent.ts', import.meta.url);
  await node.agents.deploy(await readFile(example, 'utf8'));
  await until(() => said.get('room/28-00000000000b') === '21.4');
  board.setSensor('28-00000000000a', -3);
  board.setSensor('28-00000000000b', 22);
  await until(() => said.get('room/28-00000000000a') === '-3.0');
  await until(() => said.get('room/28-00000000000b') === '22.0');
  expect(node.agents.list()[0]).toMatchObject({ state: 'running', restarts: 0 });
});

const handyman = `
import { defineAgent } from 'mycel';
export const agent = defineAgent({
  name: 'handyman',
  async init(self) {
    await self.device.writePin({ line: 4 }, await self.device.readPin({ line: 5 }));
    const chip = await self.device.readI2c({ bus: 1, address: 0x76 }, 0xd0, 1);
    await self.device.writeI2c({ bus: 1, address: 0x76 }, 0xf4, Uint8Array.of(chip[0] + 1));
    await self.device.openSerial('/dev/ttyS0', { baud: 9600 });
    await self.device.writeSerial('/dev/ttyS0', Uint8Array.of(7, 8));
    const failures = [];
    for (const wrong of [
      () => self.device.readPin({ line: 99 }),
      () => self.device.readPin('4'),
      () => self.device.writeSerial('/dev/ttyS1', Uint8Array.of(1)),
    ]) await wrong().catch((error) => failures.push(/MYCEL_[A-Z_]+/.exec(String(error))?.[0]));
    await self.publish('handyman/failures', failures.join(' '));
  },
  async handle(state, message, self) {
    if (message.type === 'serial') await self.publish('handyman/serial', String([...message.bytes]));
    if (message.type === 'serial-end') await self.publish('handyman/end', String(message.reason));
  },
});`;

test('an agent in a thread uses pins, a bus and a serial line; what is wrong is told by its code', async () => {
  const board = createMemoryPeripherals();
  board.setPin({ line: 4 }, 0);
  board.setPin({ line: 5 }, 1);
  const registers = board.addI2c(1, 0x76);
  registers[0xd0] = 0x58;
  const serial = board.addSerial('/dev/ttyS0');
  const node = await startNode('ann', { peripherals: board });
  const said = heard(node, 'handyman/#');
  await node.agents.deploy(handyman);
  await until(() => said.has('handyman/failures'));
  expect(said.get('handyman/failures')).toBe('MYCEL_NO_DEVICE MYCEL_BAD_OPTION MYCEL_BAD_OPTION');
  expect(board.level({ line: 4 })).toBe(1);
  expect(registers[0xf4]).toBe(0x59);
  expect(serial.written).toEqual([7, 8]);
  serial.say(Uint8Array.of(1, 2, 3));
  await until(() => said.get('handyman/serial') === '1,2,3');
  serial.unplug();
  await until(() => said.get('handyman/end') === 'the line is gone');
});

test('a program uses the same board by its node', async () => {
  const board = createMemoryPeripherals();
  board.setPin({ line: 1 }, 1);
  const node = await startNode('ann', { peripherals: board });
  expect(await node.device.io.readPin({ line: 1 })).toBe(1);
});
