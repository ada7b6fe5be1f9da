import { connect } from 'node:net';
import { describe, expect, test } from 'vitest';
import { converse } from '../../src/adapters/link/converse.ts';
import type { MeshNode } from '../../src/index.ts';
import { generateNodeKeys, randomBytes } from '../../src/wire/keys.ts';
import { parseInvite } from '../../src/wire/invite.ts';
import { createInvitedJoiner } from '../../src/wire/join.ts';
import { createLoopback, linked, patienceMs, peersOf, until } from './loopback.ts';

/** Joins by hand, with keys of its own, at the node's port; the rules of one attempt a second are the ledger's. */
async function knock(
  node: MeshNode,
  invite: ReturnType<typeof parseInvite>,
  name = 'stranger',
): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port: node.status().mqttPort });
  socket.write('MYCJ');
  const joiner = createInvitedJoiner({ keys: generateNodeKeys(), invite, name });
  try {
    await converse(socket, joiner);
    return 'joined';
  } catch (error) {
    return (error as { code: string }).code;
  }
}

/** Knocks until the pace of attempts allows an answer. */
async function knockPatiently(
  node: MeshNode,
  invite: ReturnType<typeof parseInvite>,
): Promise<string> {
  let answer = '';
  await expect
    .poll(
      async () => {
        answer = await knock(node, invite);
        return answer;
      },
      { timeout: patienceMs, interval: 250 },
    )
    .not.toBe('MYCEL_TOO_MANY_ATTEMPTS');
  return answer;
}

describe('an invite', () => {
  test('lets one device in and tells the next that it is used', async () => {
    await using home = await createLoopback();
    const host = await home.up('host');
    const { invite } = await host.invite();
    const first = await home.up('first', { join: invite });
    await linked(host, first);
    const second = await home.up('second', { join: invite });
    await until(() => home.told(second, 'alert').length > 0);
    expect(home.told(second, 'alert')[0]?.code).toBe('MYCEL_INVITE_USED');
    expect(second.status().warnings.join(' ')).toContain('has been used by another device');
    expect(second.status().mesh.isProvisional).toBe(true);
    expect(peersOf(host)).toEqual(new Set([first.id]));
  });

  test('lets exactly one of two in that come at the same time', async () => {
    await using home = await createLoopback();
    const host = await home.up('host');
    const { invite } = await host.invite();
    const both = await Promise.all(
      ['left', 'right'].map((name) => home.up(name, { join: invite })),
    );
    await until(() => both.some((node) => home.told(node, 'joined').length > 0));
    await until(() => both.some((node) => home.told(node, 'alert').length > 0));
    const joined = both.filter((node) => !node.status().mesh.isProvisional);
    expect(joined.length).toBe(1);
    await linked(host, ...joined);
    const late = both.find((node) => node.status().mesh.isProvisional);
    expect(late === undefined ? '' : home.told(late, 'alert')[0]?.code).toBe('MYCEL_INVITE_USED');
  });

  test('expires by uptime', async () => {
    await using home = await createLoopback();
    const host = await home.up('host');
    const { invite } = await host.invite({ ttlMs: 1 });
    const node = await home.up('late');
    await expect(node.join(invite)).rejects.toMatchObject({ code: 'MYCEL_INVITE_EXPIRED' });
    expect(node.status().mesh.isProvisional).toBe(true);
    expect(node.status().warnings.join(' ')).toContain('expired');
  });

  test('is void after a restart of the node that made it, and says so', async () => {
    await using home = await createLoopback();
    const host = await home.up('host');
    const { mqttPort } = host.status();
    const { invite } = await host.invite();
    await host.stop();
    await home.up('host', { port: mqttPort });
    const node = await home.up('late');
    await expect(node.join(invite)).rejects.toMatchObject({ code: 'MYCEL_INVITE_UNKNOWN' });
  });

  test('of another mesh is refused by whoever has taken the address', async () => {
    await using home = await createLoopback();
    const host = await home.up('host');
    const { mqttPort } = host.status();
    const { invite } = await host.invite();
    await host.stop();
    const other = await home.up('other', { port: mqttPort });
    await other.found('another');
    const node = await home.up('late');
    await expect(node.join(invite)).rejects.toMatchObject({ code: 'MYCEL_INVITE_FOREIGN' });
  });

  test.each(['', 'mycel:1:', 'mycel:1:abcdefgh', 'hello', 'mycel:2:aaaa'])(
    'that is malformed (%j) is refused where it is typed',
    async (text) => {
      await using home = await createLoopback();
      const node = await home.up('node');
      await expect(node.join(text)).rejects.toMatchObject({ code: 'MYCEL_INVITE_MALFORMED' });
    },
  );

  test('is void after five wrong secrets, also for the right one', async () => {
    await using home = await createLoopback();
    const host = await home.up('host');
    const { invite } = await host.invite();
    const parsed = parseInvite(invite);
    const answers: string[] = [];
    for (let guess = 0; guess < 5; guess += 1) {
      answers.push(await knockPatiently(host, { ...parsed, psk: randomBytes(32) }));
    }
    // The inviter hangs up: whoever does not know the secret is told nothing.
    expect(answers).toEqual(Array.from({ length: 5 }, () => 'MYCEL_UNREACHABLE'));
    expect(await knockPatiently(host, parsed)).toBe('MYCEL_INVITE_VOID');
    expect(peersOf(host).size).toBe(0);
  });

  test('is not answered by a node that only says no in the clear', async () => {
    await using home = await createLoopback();
    const host = await home.up('host');
    const { invite } = await host.invite();
    const other = await home.up('other');
    await other.found('another');
    const parsed = parseInvite(invite);
    const impostor = { ...parsed, hosts: [] };
    expect(await knock(other, impostor)).toBe('MYCEL_INVITE_FOREIGN');
    expect(await knockPatiently(host, impostor)).toBe('joined');
  });
});

describe('a second admin', () => {
  test('invites and revokes, and a plain member does neither', async () => {
    await using home = await createLoopback();
    const host = await home.up('host');
    const deputy = await home.up('deputy', { join: (await host.invite({ role: 'admin' })).invite });
    const plain = await home.up('plain', { join: (await host.invite()).invite });
    await linked(host, deputy, plain);
    await until(() => deputy.status().mesh.isAdmin);
    await expect(plain.invite()).rejects.toMatchObject({ code: 'MYCEL_NOT_ADMIN' });
    await expect(plain.revoke(host.id)).rejects.toMatchObject({ code: 'MYCEL_NOT_ADMIN' });
    const guest = await home.up('guest', { join: (await deputy.invite()).invite });
    await linked(host, deputy, plain, guest);
    await deputy.revoke(guest.id);
    await until(() => home.told(guest, 'expelled').length > 0);
    await linked(host, deputy, plain);
  });
});
