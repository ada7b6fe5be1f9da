/** Does the disk under the data directory show its age? Only what Linux offers as files is asked. */

import { formatBytes } from '../quantity.ts';
import { fail, ok, warn, type Finding } from './finding.ts';
import { blockDeviceOf, mountOf, readSystemFile, type SystemRoot } from 'mycel';

const check = 'disk';

/** JEDEC eMMC: life time estimate 0x0A is 90 to 100 % used, 0x0B beyond; pre-EOL 2 is 80 % of spares used, 3 is urgent. */
const lifeUrgent = 0x0a;
const lifeWarn = 0x08;

/** Checks the file system's own error count, and the wear figures of its device. */
export function checkDisk(dataDir: string, root: SystemRoot): Finding[] {
  const mount = mountOf(root, dataDir);
  if (mount?.device.startsWith('/dev/') !== true) return [];
  const { partition, disk: device } = blockDeviceOf(root, mount);
  return [...checkErrors(root, partition), checkWear(root, device)];
}

function checkErrors(root: SystemRoot, partition: string): Finding[] {
  const base = `sys/fs/ext4/${partition}`;
  const errors = Number(readSystemFile(root, `${base}/errors_count`) ?? 0);
  if (errors > 0) {
    return [
      fail(
        'file system',
        `${partition} has counted ${errors} errors.`,
        `Save the data directory elsewhere, then check the disk: fsck /dev/${partition} (unmounted).`,
      ),
    ];
  }
  const written = Number(readSystemFile(root, `${base}/lifetime_write_kbytes`) ?? 0) * 1024;
  return written > 0
    ? [
        ok(
          'file system',
          `${partition} without errors, ${formatBytes(written)} written in its life`,
        ),
      ]
    : [];
}

function checkWear(root: SystemRoot, device: string): Finding {
  const base = `sys/block/${device}/device`;
  const life = (readSystemFile(root, `${base}/life_time`) ?? '').split(/\s+/).map(Number);
  const worst = Math.max(0, ...life.filter((value) => value > 0));
  const spares = Number(readSystemFile(root, `${base}/pre_eol_info`) ?? 0);
  const kind = readSystemFile(root, `${base}/type`);
  const name = kind === undefined ? device : `${device} (${kind})`;
  if (worst === 0 && spares === 0) {
    return ok(check, `${name} offers no figures about its wear`);
  }
  const said = `${name} has used about ${Math.min(100, worst * 10)} % of its write life`;
  if (worst >= lifeUrgent || spares >= 3) {
    return fail(check, `${said}.`, 'Replace it soon; keep a copy of the data directory.');
  }
  if (worst >= lifeWarn || spares === 2) {
    return warn(check, `${said}.`, 'Plan to replace it.');
  }
  return ok(check, said);
}
