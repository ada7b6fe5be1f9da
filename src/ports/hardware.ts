/** What the board under a node is and how it fares: facts for people, placement, bids and health. */

/** Where a disk's bytes are kept; flash cards wear, memory forgets. */
export type DiskKind =
  | 'sd'
  | 'emmc'
  | 'nvme'
  | 'ssd'
  | 'hdd'
  | 'usb'
  | 'memory'
  | 'network'
  | 'other';

/** The file system that holds the data directory, or another one that was asked for. */
export interface DiskFacts {
  readonly path: string;
  readonly kind: DiskKind;
  readonly totalBytes: number;
  readonly freeBytes: number;
  readonly isReadOnly: boolean;
  /** Share of its write life that is used, 0 to 1, where the device tells (eMMC). */
  readonly wearShare: number | undefined;
  /** Bytes ever written to it, where the file system counts them (ext4). */
  readonly writtenBytes: number | undefined;
}

/** How the board is powered, and whether that is enough. */
export interface PowerFacts {
  readonly source: 'mains' | 'battery' | 'unknown';
  /** Charge, 0 to 1; undefined without a battery. */
  readonly batteryShare: number | undefined;
  /** The supply is too weak now; undefined where the board cannot tell. */
  readonly isUndervolted: boolean | undefined;
  /** It was since the start. */
  readonly wasUndervolted: boolean | undefined;
  /** The processor is held back now, by heat or by a weak supply. */
  readonly isThrottled: boolean | undefined;
  readonly wasThrottled: boolean | undefined;
}

/** One network interface that is up. */
export interface NetworkFacts {
  readonly name: string;
  readonly medium: 'wired' | 'wifi' | 'other';
  /** Speed of the cable in Mbit/s, where the driver tells. */
  readonly linkMbps: number | undefined;
  /** Signal of the Wi-Fi in dBm. */
  readonly signalDbm: number | undefined;
}

/** Something that computes besides the processor. */
export interface AcceleratorFacts {
  readonly kind: 'gpu' | 'npu' | 'tpu';
  readonly name: string;
}

/** What can be connected to programs: device files and kernel names, sorted. */
export interface PortFacts {
  readonly gpioChips: readonly string[];
  readonly i2cBuses: readonly string[];
  readonly spiDevices: readonly string[];
  readonly serialPorts: readonly string[];
  /** 1-wire thermometers, by their address. */
  readonly oneWireSensors: readonly string[];
  readonly cameras: readonly string[];
}

/** One look at a board. */
export interface DeviceFacts {
  /** As the board calls itself; undefined on machines that do not tell. */
  readonly model: string | undefined;
  readonly architecture: string;
  readonly cpu: {
    readonly cores: number;
    /** Highest clock in MHz; undefined where the kernel does not scale it. */
    readonly mhzMax: number | undefined;
    /** Processes that ran or waited to run, averaged over a minute. */
    readonly load: number;
    /** Share of the last 10 s in which some process waited for a processor, 0 to 1; undefined without PSI. */
    readonly pressureShare: number | undefined;
  };
  readonly memory: {
    readonly totalBytes: number;
    /** What programs could still take. */
    readonly availableBytes: number;
    readonly pressureShare: number | undefined;
  };
  /** Of the warmest sensor, in degrees Celsius; undefined without one. */
  readonly temperatureC: number | undefined;
  readonly power: PowerFacts;
  readonly disk: DiskFacts | undefined;
  readonly networks: readonly NetworkFacts[];
  /** Whether something keeps the clock right; undefined where that cannot be told. */
  readonly isClockSynchronised: boolean | undefined;
  readonly accelerators: readonly AcceleratorFacts[];
  readonly ports: PortFacts;
}

/** Looks at a board. */
export interface Hardware {
  /** Looks now; a few milliseconds of small files. Never throws: what cannot be read is undefined or empty. */
  read(): DeviceFacts;
}
