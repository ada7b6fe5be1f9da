/** What is wired to a board: pins, buses, serial lines and 1-wire sensors, for programs and agents. */

/** One pin: the chip as `gpiochip0`, the line as the chip counts. */
export interface PinAddress {
  /** @default the first chip */
  readonly chip?: string;
  readonly line: number;
}

/** One device on an I2C bus. */
export interface I2cAddress {
  readonly bus: number;
  /** 7 bits, 3 to 0x77. */
  readonly address: number;
}

/** How to open a serial line. */
export interface SerialOptions {
  /** @default 9600 */
  readonly baud?: number;
}

/** An open serial line, raw, 8 bits, no parity. */
export interface SerialLine {
  /** Resolves when the driver has the bytes. */
  write(bytes: Uint8Array): Promise<void>;
  /** Hears what comes, as it comes; returns the function that ends it. */
  onBytes(listener: (bytes: Uint8Array) => void): () => void;
  /** Called once when the line is gone: unplugged, or closed. */
  onEnd(listener: (reason: string | undefined) => void): void;
  close(): Promise<void>;
}

/**
 * The peripherals of a board. A device that is not there is MYCEL_NO_DEVICE, one that answers wrongly or not at all
 * MYCEL_DEVICE_FAILED, one that this user may not open MYCEL_DEVICE_DENIED.
 */
export interface Peripherals {
  /** Thermometers on the 1-wire bus, by their address, sorted. */
  oneWire(): Promise<readonly string[]>;
  /** Degrees Celsius, checked by the sensor's own checksum. Takes up to a second: the sensor converts. */
  temperature(sensor: string): Promise<number>;
  /** The level of a pin, made an input when it is none. */
  readPin(pin: PinAddress): Promise<0 | 1>;
  /** Makes the pin an output that holds this level until something else is written. */
  writePin(pin: PinAddress, level: 0 | 1): Promise<void>;
  /** Reads registers, from one on. @param length 1 to 256 */
  readI2c(device: I2cAddress, register: number, length: number): Promise<Uint8Array>;
  /** Writes registers, from one on. @param bytes 1 to 256 */
  writeI2c(device: I2cAddress, register: number, bytes: Uint8Array): Promise<void>;
  /** @param path as `/dev/ttyUSB0` */
  openSerial(path: string, options?: SerialOptions): Promise<SerialLine>;
}
