/** All checks of the doctor, in the order a person would ask. */

import { join } from 'node:path';

import { createHardware, type NetInterface, type SystemRoot } from 'mycel';

import { checkClock } from './clock-check.ts';
import { checkDataDir } from './data-dir-check.ts';
import { checkDisk } from './disk-check.ts';
import type { Finding } from './finding.ts';
import { checkInterfaces } from './interfaces-check.ts';
import { checkMdns } from './mdns-check.ts';
import { checkMulticast } from './multicast-check.ts';
import { askNode } from './node-check.ts';
import { checkPort } from './port-check.ts';
import { checkNames } from './names-check.ts';
import { checkPower } from './power-check.ts';
import { checkMemory, checkNodeVersion } from './runtime-check.ts';
import { checkWifi } from './wifi-check.ts';

/** What the doctor looks at. */
export interface DoctorQuestion {
  readonly dataDir: string;
  readonly port: number | undefined;
  /** Which interfaces a node chooses: by default, or among these names. */
  listInterfaces(names?: readonly string[]): readonly NetInterface[];
  readonly root: SystemRoot;
}

/** Runs them. No check waits longer than a second or two, and none changes anything that lasts. */
export async function runDoctor(question: DoctorQuestion): Promise<Finding[]> {
  const { dataDir, root } = question;
  const { status, findings: nodeFindings } = await askNode(dataDir);
  const used = question.listInterfaces();
  const ours = status === undefined ? [] : [status.mqttPort, status.guestPort ?? 0];
  const facts = createHardware({ dataDir, root }).read();
  const [ports, mdns, multicast, wifi] = await Promise.all([
    checkPort({ stated: question.port, ours, root }),
    checkMdns(root),
    checkMulticast(
      used.flatMap(({ name, addresses }) => {
        const host = addresses.find(({ family }) => family === 'IPv4')?.host;
        return host === undefined ? [] : [{ name, host }];
      }),
    ),
    checkWifi(facts),
  ]);
  return [
    checkNodeVersion(process.versions.node),
    checkMemory(root),
    ...checkDataDir(dataDir, root),
    ...checkDisk(dataDir, root),
    ...checkClock(Date.now(), [dataDir, join(dataDir, 'store'), process.execPath], root),
    ...checkPower(facts),
    ...checkInterfaces(question.listInterfaces, root),
    ...wifi,
    checkNames(root),
    ...ports,
    mdns,
    ...multicast,
    ...nodeFindings,
  ];
}
