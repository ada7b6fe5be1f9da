/** What goes wrong with peripherals, as the codes that the port promises. */

import { MycelError } from '../../kernel/errors.ts';

/** It is not there. */
export function noDevice(device: string): MycelError {
  return new MycelError('MYCEL_NO_DEVICE', { device, reason: `There is no ${device}.` });
}

/** It is there and does not do what it should. */
export function deviceFailed(device: string, reason: string, cause?: unknown): MycelError {
  const details = { device, reason: `${device}: ${reason.slice(0, 200)}.` };
  return new MycelError('MYCEL_DEVICE_FAILED', details, cause === undefined ? {} : { cause });
}

/** A failure of the file system at a device. */
export function asDeviceError(error: unknown, device: string): unknown {
  if (MycelError.is(error) || !(error instanceof Error)) return error;
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ENODEV' || code === 'ENXIO') return noDevice(device);
  if (code === 'EACCES' || code === 'EPERM') {
    return new MycelError('MYCEL_DEVICE_DENIED', {
      device,
      reason: `${device} may not be opened by this user.`,
    });
  }
  return deviceFailed(device, error.message, error);
}
