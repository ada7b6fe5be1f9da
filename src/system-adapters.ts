/** The default adapters of a node: this computer's clock, disk, network and broker. */

import { randomBytes } from 'node:crypto';
import { homedir, hostname } from 'node:os';
import { join } from 'node:path';
import { hashGuestPassword } from './adapters/aedes/guest-passwords.ts';
import { createBackbone } from './adapters/backbone/backbone.ts';
import { createMdnsRung } from './adapters/bonjour/rung.ts';
import { startStallResponder } from './adapters/dgram/responder.ts';
import { createStallProbe, isStallAnswer } from './adapters/dgram/stall-probe.ts';
import { createUdpDatagrams } from './adapters/dgram/udp.ts';
import { createBlobFiles } from './adapters/disk/blob-files.ts';
import { nextBoot, raiseBoot } from './adapters/disk/counters.ts';
import { createDiskReplicaLogs } from './adapters/disk/replica-log.ts';
import { openDiskStore } from './adapters/disk/disk-store.ts';
import { openDiskEventLog } from './adapters/disk/event-log.ts';
import { openJournal } from './adapters/disk/journal.ts';
import { diskFiles } from './adapters/disk/journal-files.ts';
import { createVersions } from './adapters/disk/versions.ts';
import { openGround } from './adapters/ground.ts';
import { createCells } from './adapters/agents/cells.ts';
import { createHardware } from './adapters/hardware/hardware.ts';
import { createMulticastRung } from './adapters/multicast/rung.ts';
import { createDiskRung } from './adapters/peers/disk-rung.ts';
import { createPeersRung } from './adapters/peers/peers-rung.ts';
import { createLinuxPeripherals } from './adapters/peripherals/linux.ts';
import { createPinoLog } from './adapters/pino/pino-log.ts';
import { createSeedsRung } from './adapters/seeds/rung.ts';
import { createSystemClock } from './adapters/system/clock.ts';
import { createInterfaceWatch } from './adapters/system/interfaces.ts';
import type { InterfaceWatch } from './adapters/system/interfaces.ts';
import { startLoopMonitor } from './adapters/system/loop.ts';
import { createMetrics } from './adapters/system/metrics.ts';
import { startSuspendWatch } from './adapters/system/suspend.ts';
import { loadYjs } from './adapters/yjs/yjs.ts';
import { createRandom } from './kernel/random.ts';
import type { Rung } from './ports/discovery.ts';
import type { Log } from './ports/log.ts';
import type { Store } from './ports/store.ts';
import type { NodeAdapters, PeerBook } from './runtime/adapters.ts';
import type { AdvertisedService, NodeOptions } from './runtime/mesh-node.ts';
import { portDefault } from './runtime/options.ts';
import { parseBackboneUrl } from './wire/backbone-url.ts';

/** Builds the adapters of one node. Nothing is opened yet. */
export function createSystemAdapters(options: NodeOptions): NodeAdapters {
  const clock = createSystemClock();
  const log = createPinoLog({ level: options.logLevel ?? 'warn' });
  const metrics = createMetrics();
  const random = createRandom(seed());
  const url = parseBackboneUrl(options.backbone ?? '');
  const backbone = url && createBackbone({ url, clock, log, metrics, random: random.split() });
  const udp = createUdpDatagrams({ metrics });
  let watch: InterfaceWatch | undefined;

  return {
    clock,
    log,
    metrics,
    seed,
    openStore: (directory) => openDiskStore(directory, { log }),
    replicaLogs: (dataDir) => createDiskReplicaLogs(join(dataDir, 'consensus')),
    openEventLog: (directory) => openDiskEventLog(join(directory, 'outbox')),
    openJournal: (directory) => (name, replay) =>
      openJournal({ files: diskFiles(directory), name, clock, log }, replay),
    loadDocuments: () => loadYjs(),
    nextBoot,
    raiseBoot,
    openGround(ground) {
      const backlogDirectory = join(options.dataDir ?? dataDirDefault(), 'backlog');
      return openGround({ ...ground, backbone, backlogDirectory });
    },
    datagrams: backbone?.datagrams(udp) ?? udp,
    backbone,
    watchInterfaces(names, changed) {
      const own = createInterfaceWatch({ ...(names === undefined ? {} : { names }), changed });
      watch = own;
      return {
        current: () =>
          own
            .current()
            .map(({ name, addresses }) => ({ name, hosts: addresses.map((one) => one.host) })),
        missing: () => own.missing(),
        refresh: () => own.refresh(),
        stop: () => own.stop(),
      };
    },
    lookOut({ mdns, multicast, seeds, store }) {
      const interfaces = (watch ??= createInterfaceWatch());
      const own = () => ({ clock, random: random.split() });
      const peers = createPeersRung({ clock });
      const disk = createDiskRung({ ...own(), ...peerRecord(store, log) });
      const rungs: Rung[] = [peers, disk];
      const mdnsRung = mdns ? createMdnsRung({ ...own(), interfaces }) : undefined;
      if (mdnsRung !== undefined) rungs.push(mdnsRung);
      if (multicast) rungs.push(createMulticastRung({ ...own(), interfaces }));
      if (backbone !== undefined) rungs.push(backbone.rung);
      if (seeds.length > 0) rungs.push(createSeedsRung({ ...own(), seeds, portDefault }));
      const book: PeerBook = {
        remember: (node, addresses, meshTag) => disk.remember(node, addresses, meshTag),
        forget: (node) => disk.forget(node),
        told: (from, told) => peers.told(from, told),
      };
      const services = mdnsRung && {
        add: (service: AdvertisedService) => mdnsRung.addService(service),
        remove: (service: AdvertisedService) => mdnsRung.removeService(service),
        published: () =>
          mdnsRung.dump().map((one) => ({
            interface: one.interface,
            records: one.records.map(({ name, type, ttl }) => ({ name, type, ttl })),
          })),
      };
      return { rungs, book, services };
    },
    createStallProbe: (node, keys) => ({
      ...createStallProbe({ node, keys }),
      isAnswer: isStallAnswer,
    }),
    openResponder: (responder) => startStallResponder({ ...responder, port: 0 }),
    watchLoop: (spike) => startLoopMonitor({ spike }),
    watchSuspend: (woke) => startSuspendWatch(woke),
    blobFiles: (dataDir) => createBlobFiles(join(dataDir, 'blobs')),
    peripherals: options.peripherals ?? createLinuxPeripherals(),
    versions: (dataDir) => createVersions(join(dataDir, 'versions')),
    hardware: (dataDir) => createHardware({ dataDir }),
    cells: createCells(),
    // Loaded when it is used: an idle node needs no HTTP.
    serveText: async (page) => (await import('./adapters/http/text-server.ts')).serveText(page),
    hashPassword: hashGuestPassword,
    rssBytes: () => process.memoryUsage.rss(),
    hostName: () => hostname().slice(0, 64) || 'node',
    dataDirDefault,
  };
}

function seed(): number {
  return randomBytes(4).readUInt32BE();
}

/** Where a node keeps its data when nobody says otherwise. */
function dataDirDefault(): string {
  const given = process.env['MYCEL_DATA_DIR'];
  if (given !== undefined && given !== '') return given;
  if (process.getuid?.() === 0) return '/var/lib/mycel';
  return join(process.env['XDG_DATA_HOME'] ?? join(homedir(), '.local', 'share'), 'mycel');
}

/** The record of known peers: plain JSON, checked entry by entry by the rung. */
function peerRecord(
  store: Store,
  log: Log,
): { load(): Promise<unknown>; save(peers: readonly unknown[]): Promise<void> } {
  return {
    async load() {
      const bytes = await store.read('peers');
      if (bytes === undefined) return [];
      try {
        return JSON.parse(new TextDecoder().decode(bytes)) as unknown;
      } catch {
        log.warn({}, 'the list of known peers cannot be read; it starts empty');
        return [];
      }
    },
    save: (peers) => store.write('peers', new TextEncoder().encode(JSON.stringify(peers))),
  };
}
