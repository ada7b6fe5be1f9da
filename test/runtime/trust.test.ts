import { describe, expect, test } from 'vitest';
import type { MeshId } from '../../src/kernel/ids.ts';
import { openDiskStore } from '../../src/adapters/disk/disk-store.ts';
import { createMemoryLog } from '../../src/adapters/memory/log.ts';
import { createLinkTransport } from '../../src/adapters/link/link-transport.ts';
import { createMetrics } from '../../src/adapters/system/metrics.ts';
import type { MeshNode } from '../../src/index.ts';
import { keyTextOf } from '../../src/wire/authority-entry.ts';
import { issueCertificate, readCertificate } from '../../src/wire/certificate.ts';
import { decodeNodeKeys, generateNodeKeys, nodeIdOf } from '../../src/wire/keys.ts';
import type { NodeKeys } from '../../src/wire/keys.ts';
import { decodeMeshRecord } from '../../src/wire/mesh-record.ts';
import { linkPrologue } from '../../src/runtime/trust.ts';
import { isRevokedMember, refusalOf } from '../../src/runtime/admission.ts';
import { createTwinWatch } from '../../src/runtime/twins.ts';
import { createLoopback, linked, patienceMs, peersOf, until } from './loopback.ts';

/** What a thief finds in a data directory. */
async function stolen(directory: string): Promise<{ keys: NodeKeys; certificate: Uint8Array }> {
  const store = await openDiskStore(directory, { log: createMemoryLog() });
  const identity = await store.read('identity');
  const mesh = await store.read('mesh');
  await store.close();
  const record = mesh === undefined ? undefined : decodeMeshRecord(mesh);
  if (identity === undefined || record === undefined) throw new Error('nothing to steal');
  return { keys: decodeNodeKeys(identity), certificate: record.certificate };
}

/** Dials a node as a member would, and gives 'linked' or why it was refused. */
async function dial(
  node: MeshNode,
  keys: NodeKeys,
  certificate: Uint8Array,
  meshId: MeshId,
): Promise<string> {
  const transport = createLinkTransport({
    credentials: {
      node: nodeIdOf(keys.edPublic),
      keys,
      prologue: () => linkPrologue(meshId),
      certificate: () => certificate,
      admit: (theirs) => {
        const peer = readCertificate(theirs);
        return peer === undefined ? { refusal: 'unreadable' } : peer;
      },
      refused: () => {},
    },
    handlers: { opened() {}, frame() {}, drained() {}, closed() {} },
    log: createMemoryLog(),
    metrics: createMetrics(),
  });
  try {
    const address = { host: '127.0.0.1', port: node.status().mqttPort };
    await transport.dial(undefined, [address], new AbortController().signal);
    return 'linked';
  } catch (error) {
    return (error as Error).message;
  } finally {
    await transport.stop();
  }
}

describe('a certificate', () => {
  test('opens a link only when an admin of this mesh issued it for the key that is shown', async () => {
    await using home = await createLoopback();
    const host = await home.up('host');
    const member = await home.up('member', { join: (await host.invite()).invite });
    await linked(host, member);
    const meshId = host.status().mesh.id;
    await member.stop();
    await until(() => peersOf(host).size === 0);
    const held = await stolen(home.dir('member'));
    const own = generateNodeKeys();
    const fields = {
      meshId,
      edPublic: own.edPublic,
      xPublic: own.xPublic,
      name: 'eve',
      roles: ['node', 'admin'] as const,
      certSeq: 1,
      epoch: 1,
      epochMax: 1000,
    };
    const refused = host.status().metrics.drops['link: refused'] ?? 0;
    // Issued by itself, by a mere member, or belonging to somebody else.
    expect(await dial(host, own, issueCertificate(own, fields), meshId)).not.toBe('linked');
    expect(await dial(host, own, issueCertificate(held.keys, fields), meshId)).not.toBe('linked');
    expect(await dial(host, own, held.certificate, meshId)).not.toBe('linked');
    const otherMesh = '0123456789abcdef0123456789abcdef' as MeshId;
    expect(await dial(host, held.keys, held.certificate, otherMesh)).not.toBe('linked');
    await until(() => host.status().metrics.drops['link: refused'] === refused + 4);
    expect(await dial(host, held.keys, held.certificate, meshId)).toBe('linked');
  });

  test('of a thrown-out admin counts only for whom another admin vouched', () => {
    const [admin, member] = [generateNodeKeys(), generateNodeKeys()];
    const meshId = '0123456789abcdef0123456789abcdef' as MeshId;
    const certificate = readCertificate(
      issueCertificate(admin, {
        meshId,
        edPublic: member.edPublic,
        xPublic: member.xPublic,
        name: 'kitchen',
        roles: ['node'],
        certSeq: 1,
        epoch: 1,
        epochMax: 3,
      }),
    );
    const [adminKey, memberKey] = [admin, member].map(({ edPublic }) => keyTextOf(edPublic));
    const view = {
      admins: [adminKey],
      frozen: [],
      retired: [],
      revoked: new Map<string, unknown>(),
      approved: new Set<string>(),
      epoch: { number: 1 },
    };
    const judge = (change: object) => ({
      meshId,
      isDev: false,
      view: { ...view, ...change } as never,
    });
    const verdict = (change: object) => refusalOf(certificate, member.xPublic, judge(change));
    const gone = { admins: [], revoked: new Map([[adminKey, 'admin']]) };
    expect(verdict({})).toBeUndefined();
    expect(verdict(gone)).toContain('thrown out');
    expect(verdict({ ...gone, approved: new Set([memberKey]) })).toBeUndefined();
    expect(verdict({ admins: [], frozen: [adminKey] })).toContain('thrown out');
    expect(verdict({ admins: [], retired: [adminKey] })).toBeUndefined();
    expect(verdict({ admins: [] })).toContain('not issued by an admin');
    expect(verdict({ epoch: { number: 4 } })).toContain('run out');
    const out = { revoked: new Map([[memberKey, 'member']]) };
    expect(verdict(out)).toContain('revoked');
    if (certificate === undefined) throw new Error('the certificate is whole');
    expect(isRevokedMember(certificate, member.xPublic, judge(out))).toBe(true);
    // Whoever merely shows the bytes of that certificate is told nothing.
    expect(isRevokedMember(certificate, admin.xPublic, judge(out))).toBe(false);
  });
});

describe('a revoked device', () => {
  test('hears it with proof, forgets no part of it by a restart, and its goodbye expels nobody', async () => {
    await using home = await createLoopback();
    const host = await home.up('host');
    const victim = await home.up('victim', { join: (await host.invite()).invite });
    const third = await home.up('third', { join: (await host.invite()).invite });
    await linked(host, victim, third);
    await host.revoke(victim.id);
    await until(() => home.told(victim, 'expelled').length > 0);
    await linked(host, third);
    expect(host.status().mesh.epoch).toBe(2);
    await until(() => third.status().mesh.epoch === 2);
    expect(home.told(third, 'expelled')).toEqual([]);
    await expect(victim.join((await host.invite()).invite)).rejects.toMatchObject({
      code: 'MYCEL_REVOKED',
    });
    // A publish of its own life must not bring the old membership back to disk.
    const isPublished = (): Promise<boolean> =>
      victim.publish('a', 'b').then(
        () => true,
        () => false,
      );
    await expect.poll(isPublished, { timeout: patienceMs }).toBe(true);
    await victim.stop();
    const again = await home.up('victim');
    expect(home.told(again, 'expelled')).toEqual([
      { reason: 'This device was revoked by an admin.' },
    ]);
    expect(peersOf(again).size).toBe(0);
  });

  test('and several others go at once without a word of the admin getting lost', async () => {
    await using home = await createLoopback();
    const host = await home.up('host');
    const { invite } = await host.invite({ uses: 4 });
    const others = [];
    for (const name of ['a', 'b', 'c', 'd']) others.push(await home.up(name, { join: invite }));
    await linked(host, ...others);
    const [kept, ...gone] = others;
    if (kept === undefined) throw new Error('four were started');
    await Promise.all(gone.map(({ id }) => host.revoke(id)));
    await linked(host, kept);
    for (const node of gone) await until(() => home.told(node, 'expelled').length > 0);
    await until(() => kept.status().mesh.epoch === host.status().mesh.epoch);
    expect(host.status().mesh.epoch).toBe(4);
  });
});

describe('a copied card', () => {
  const [node, other] = [generateNodeKeys(), generateNodeKeys()].map((keys) =>
    nodeIdOf(keys.edPublic),
  ) as [ReturnType<typeof nodeIdOf>, ReturnType<typeof nodeIdOf>];

  test('is an instance that greets again after another one; restarts are not', () => {
    const watch = createTwinWatch();
    for (const instance of [1, 2, 3, 4, 5, 6]) {
      expect(watch.greeted(instance * 1000, node, instance)).toBe(false);
      expect(watch.greeted(instance * 1000 + 1, node, instance)).toBe(false);
    }
    expect(watch.greeted(7000, other, 1)).toBe(false);
    expect(watch.greeted(7000, node, 5)).toBe(true);
    expect(watch.greeted(7500, node, 6)).toBe(true);
  });

  test('is forgiven when one of the two has been silent for a while', () => {
    const watch = createTwinWatch();
    watch.greeted(0, node, 1);
    watch.greeted(1_000, node, 2);
    expect(watch.greeted(2_000, node, 1)).toBe(true);
    for (let at = 3_000; at < 91_000; at += 30_000) {
      expect(watch.greeted(at, node, 1)).toBe(true);
    }
    expect(watch.greeted(91_001, node, 1)).toBe(false);
    expect(watch.greeted(92_000, node, 2)).toBe(true);
  });
});
