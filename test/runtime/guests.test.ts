import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect as connectMqtt } from 'mqtt';
import { describe, expect, test } from 'vitest';
import type { MeshNode } from '../../src/index.ts';
import { createLoopback, patienceMs, until } from './loopback.ts';

/** Logs in at the guest port, and gives the topics that got through from there, or the refusal. */
async function asGuest(
  node: MeshNode,
  login: { readonly username: string; readonly password: string },
): Promise<{ publish(topic: string): Promise<void>; isOpen(): boolean; end(): void } | string> {
  const client = connectMqtt({
    host: '127.0.0.1',
    port: node.status().guestPort ?? 0,
    ...login,
    protocolVersion: 4,
    reconnectPeriod: 0,
    clientId: `guest-${login.username}`,
  });
  const outcome = await new Promise<string>((resolve) => {
    client.once('connect', () => resolve('open'));
    client.once('error', (error: Error) => resolve(error.message));
    client.once('close', () => resolve('closed'));
  });
  client.on('error', () => undefined);
  if (outcome !== 'open') {
    client.end(true);
    return outcome;
  }
  return {
    isOpen: () => client.connected,
    publish: async (topic) => void (await client.publishAsync(topic, 'x', { qos: 0 })),
    end: () => void client.end(true),
  };
}

describe('guest accounts', () => {
  test('are closed until the first is added, survive a restart, and end at once when removed', async () => {
    await using home = await createLoopback();
    const node = await home.up('host');
    await node.found();
    expect(node.status().guestPort).toBeUndefined();
    const { password } = await node.addGuest('porch', undefined, { publish: ['porch/#'] });
    expect(password.length).toBeGreaterThanOrEqual(16);
    expect(node.guests()).toEqual([
      { name: 'porch', publish: ['porch/#'], subscribe: ['guest/porch/#'] },
    ]);
    await node.stop();
    // Nothing in the data directory gives the password away.
    for (const file of readdirSync(home.dir('host'))) {
      if (!file.endsWith('.rec')) continue;
      expect(readFileSync(join(home.dir('host'), file)).includes(password)).toBe(false);
    }

    const again = await home.up('host');
    const heard: string[] = [];
    again.subscribe('#', ({ topic }) => heard.push(topic));
    expect(await asGuest(again, { username: 'porch', password: `${password}x` })).toContain(
      'Bad username or password',
    );
    const guest = await asGuest(again, { username: 'porch', password });
    if (typeof guest === 'string') throw new Error(guest);
    await guest.publish('porch/light');
    await until(() => heard.includes('porch/light'));
    expect(again.status().clients.map(({ zone }) => zone)).toEqual(['guest']);
    await again.removeGuest('porch');
    await expect.poll(() => guest.isOpen(), { timeout: patienceMs }).toBe(false);
    expect(again.status().clients).toEqual([]);
    expect(again.status().guestPort).toBeUndefined();
    guest.end();
  });

  test.each([
    [{ name: 'a b' }, 'is no guest name'],
    [{ name: '' }, 'is no guest name'],
    [{ password: 'short' }, 'needs 8 characters'],
    [{ rules: { publish: ['#'] } }, 'must begin with a named level'],
    [{ rules: { subscribe: ['+/a'] } }, 'must begin with a named level'],
    [{ rules: { subscribe: ['$SYS/#'] } }, 'must begin with a named level'],
    [{ rules: { publish: ['a/#/b'] } }, "Rule 'a/#/b'"],
  ] as const)('%j is refused with its reason, and nothing is kept', async (change, reason) => {
    await using home = await createLoopback();
    const node = await home.up('host');
    const { name, password, rules } = {
      name: 'porch',
      password: undefined,
      rules: {},
      ...change,
    } as { name: string; password: string | undefined; rules: object };
    await expect(node.addGuest(name, password, rules)).rejects.toThrow(reason);
    expect(node.guests()).toEqual([]);
    await expect(node.removeGuest('porch')).rejects.toThrow("There is no guest 'porch'");
  });
});
