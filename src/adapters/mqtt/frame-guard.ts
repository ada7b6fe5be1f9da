/** Judges raw MQTT 3.1.1 bytes before a parser buffers them: a malformed or oversized packet is refused at its header. */

/** Which end of the connection sends the bytes that are judged. */
export type GuardedSender = 'client' | 'server';

/** Largest CONNECT, in bytes after the fixed header: what a stranger may make us hold. */
export const connectBytesMax = 4096;

/** Bytes of large packets that several connections may be in the middle of at once. */
export interface PacketBudget {
  /** Takes so many. False: there is no room. */
  take(bytes: number): boolean;
  give(bytes: number): void;
}

/** Builds a budget. */
export function createPacketBudget(bytesMax: number): PacketBudget {
  let taken = 0;
  return {
    take(bytes) {
      if (taken + bytes > bytesMax) return false;
      taken += bytes;
      return true;
    },
    give(bytes) {
      taken -= bytes;
    },
  };
}

/** Knobs of a guard. */
export interface FrameGuardConfig {
  readonly sender: GuardedSender;
  /** Largest packet after the first one, in bytes after the fixed header. */
  readonly packetBytesMax: number;
  /** What packets above so many bytes are counted against. @default nothing */
  readonly large?: { readonly aboveBytes: number; readonly budget: PacketBudget };
}

/** A guard for one direction of one connection. */
export interface FrameGuard {
  /** Why these bytes must not reach the parser, or undefined. Once refused, every later call repeats the reason. */
  check(chunk: Uint8Array): string | undefined;
  /** The connection is over. */
  end(): void;
}

/** What MQTT 3.1.1 section 2 and 3 say about one packet type: fixed flags (undefined: any) and body length. */
interface Shape {
  readonly name: string;
  readonly flags: number | undefined;
  readonly least: number;
  readonly most: number;
}

const unbounded = Number.POSITIVE_INFINITY;
const shape = (name: string, flags: number | undefined, least: number, most: number): Shape => ({
  name,
  flags,
  least,
  most,
});

const fromClient: readonly (Shape | undefined)[] = table({
  1: shape('CONNECT', 0, 12, connectBytesMax),
  3: shape('PUBLISH', undefined, 3, unbounded),
  4: shape('PUBACK', 0, 2, 2),
  5: shape('PUBREC', 0, 2, 2),
  6: shape('PUBREL', 2, 2, 2),
  7: shape('PUBCOMP', 0, 2, 2),
  8: shape('SUBSCRIBE', 2, 6, unbounded),
  10: shape('UNSUBSCRIBE', 2, 5, unbounded),
  12: shape('PINGREQ', 0, 0, 0),
  14: shape('DISCONNECT', 0, 0, 0),
});

const fromServer: readonly (Shape | undefined)[] = table({
  2: shape('CONNACK', 0, 2, 2),
  3: shape('PUBLISH', undefined, 3, unbounded),
  4: shape('PUBACK', 0, 2, 2),
  5: shape('PUBREC', 0, 2, 2),
  // A PUBREL without an id crashes mqtt.js 5.16.0: its acknowledgement cannot be written.
  6: shape('PUBREL', 2, 2, 2),
  7: shape('PUBCOMP', 0, 2, 2),
  9: shape('SUBACK', 0, 3, unbounded),
  11: shape('UNSUBACK', 0, 2, 2),
  13: shape('PINGRESP', 0, 0, 0),
});

/** Builds a guard. It keeps a dozen numbers and no bytes. */
export function createFrameGuard(config: FrameGuardConfig): FrameGuard {
  const shapes = config.sender === 'client' ? fromClient : fromServer;
  const firstType = config.sender === 'client' ? 1 : 2;
  let part: 'header' | 'length' | 'topic-high' | 'topic-low' | 'body' = 'header';
  let isFirst = true;
  let type = 0;
  let flags = 0;
  let length = 0;
  let lengthShift = 0;
  let left = 0;
  let topicBytes = 0;
  let refusal: string | undefined;
  let largeBytes = 0;

  function giveBack(): void {
    if (largeBytes > 0) config.large?.budget.give(largeBytes);
    largeBytes = 0;
  }

  function takeLarge(): string | undefined {
    const { large } = config;
    if (large === undefined || length <= large.aboveBytes) return undefined;
    if (!large.budget.take(length)) return 'too many large messages are on their way at once';
    largeBytes = length;
    return undefined;
  }

  function header(byte: number): string | undefined {
    type = byte >> 4;
    flags = byte & 15;
    length = 0;
    lengthShift = 0;
    part = 'length';
    const found = shapes[type];
    if (found === undefined) return `packet type ${type} is not allowed here`;
    if (isFirst && type !== firstType) return `the first packet is ${found.name}`;
    if (!isFirst && type === firstType) return `a second ${found.name}`;
    if (found.flags !== undefined && flags !== found.flags)
      return `${found.name} with flags ${flags}`;
    return type === 3 ? publishFlags() : undefined;
  }

  function publishFlags(): string | undefined {
    const qos = (flags >> 1) & 3;
    if (qos === 3) return 'PUBLISH with QoS 3';
    return qos === 0 && flags >= 8 ? 'PUBLISH with QoS 0 and DUP' : undefined;
  }

  function lengthByte(byte: number): string | undefined {
    length += (byte & 127) << lengthShift;
    if ((byte & 128) !== 0) {
      lengthShift += 7;
      return lengthShift > 21 ? 'a length of more than four bytes' : undefined;
    }
    const found = shapes[type];
    if (found === undefined) return 'no packet type';
    if (length < found.least) return `${found.name} of ${length} bytes is too short`;
    if (length > Math.min(found.most, config.packetBytesMax)) {
      return `${found.name} of ${length} bytes is too long`;
    }
    isFirst = false;
    left = length;
    part = left === 0 ? 'header' : type === 3 ? 'topic-high' : 'body';
    return takeLarge();
  }

  function topicLow(byte: number): string | undefined {
    topicBytes += byte;
    left -= 2;
    const idBytes = (flags & 6) === 0 ? 0 : 2;
    part = left === 0 ? 'header' : 'body';
    if (topicBytes === 0) return 'PUBLISH with an empty topic';
    return topicBytes + idBytes > left ? 'PUBLISH too short for its topic and id' : undefined;
  }

  function scan(chunk: Uint8Array): string | undefined {
    let at = 0;
    while (at < chunk.length) {
      const byte = chunk[at] as number;
      let problem: string | undefined;
      switch (part) {
        case 'header':
          problem = header(byte);
          break;
        case 'length':
          problem = lengthByte(byte);
          break;
        case 'topic-high':
          topicBytes = byte << 8;
          part = 'topic-low';
          break;
        case 'topic-low':
          problem = topicLow(byte);
          break;
        case 'body': {
          const skipped = Math.min(left, chunk.length - at);
          left -= skipped;
          at += skipped - 1;
          if (left === 0) {
            part = 'header';
            giveBack();
          }
          break;
        }
      }
      if (problem !== undefined) return problem;
      at += 1;
    }
    return undefined;
  }

  return {
    check(chunk) {
      refusal ??= scan(chunk);
      return refusal;
    },
    end: giveBack,
  };
}

function table(entries: Readonly<Record<number, Shape>>): readonly (Shape | undefined)[] {
  return Array.from({ length: 16 }, (_, type) => entries[type]);
}
