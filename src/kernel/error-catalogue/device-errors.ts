/** Failures about what is wired to a board. */

export const deviceErrors = {
  MYCEL_DEVICE_DENIED: {
    retryable: false,
    text: 'The device may not be opened.',
    fix: 'Give the user of the service its group, and the unit the device: docs/guide/hardware.md.',
  },
  MYCEL_DEVICE_FAILED: {
    retryable: true,
    text: 'The device does not do what it should.',
    fix: 'Check its wires and its power; "mycel device" shows what the board sees.',
  },
  MYCEL_NO_DEVICE: {
    retryable: true,
    text: 'The device is not there.',
    fix: 'See "mycel device" for what is; buses are switched on in the settings of the board (raspi-config).',
  },
} as const;
