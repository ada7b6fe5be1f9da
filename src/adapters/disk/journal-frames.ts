/** How a journal lies on disk: a header, then frames that can be told from damage and found again behind it. */

import { crc32 } from 'node:zlib';
import { journalRecordBytesMax } from '../../ports/journal.ts';

/** "MYCJ" and the version. */
export const journalHeaderBytes = 8;

const fileMagic = 0x4d59_434a;
const journalVersion = 1;

/** Marker 4, length 4, checksum 4. */
const frameHeaderBytes = 12;
const marker: Buffer = Buffer.from([0xc5, 0x4d, 0x4a, 0x9e]);

/** The first bytes of every journal. */
export function journalHeader(): Uint8Array {
  const header = Buffer.alloc(journalHeaderBytes);
  header.writeUInt32BE(fileMagic, 0);
  header.writeUInt32BE(journalVersion, 4);
  return header;
}

/** A record in its frame. */
export function frameRecord(record: Uint8Array): Uint8Array {
  const frame = Buffer.allocUnsafe(frameHeaderBytes + record.length);
  marker.copy(frame, 0);
  frame.writeUInt32BE(record.length, 4);
  frame.set(record, frameHeaderBytes);
  frame.writeUInt32BE(checksum(frame), 8);
  return frame;
}

/** What a file turned out to hold. */
export type JournalReading =
  | { readonly type: 'newer'; readonly version: number }
  | {
      readonly type: 'read';
      readonly recordCount: number;
      /** Where the last whole record ends. */
      readonly end: number;
      /** Stretches in the middle that are no records. */
      readonly damaged: readonly { readonly from: number; readonly to: number }[];
    };

/** Reads a whole file and hands out every record in order. Total: any bytes give a reading. */
export function readJournal(file: Buffer, take: (record: Uint8Array) => void): JournalReading {
  const hasHeader = file.length >= journalHeaderBytes && file.readUInt32BE(0) === fileMagic;
  if (hasHeader && file.readUInt32BE(4) > journalVersion) {
    return { type: 'newer', version: file.readUInt32BE(4) };
  }
  const damaged: { from: number; to: number }[] = [];
  let recordCount = 0;
  let end = hasHeader ? journalHeaderBytes : 0;
  for (let at = end; at < file.length;) {
    const next = frameEnd(file, at);
    if (next === undefined) {
      const found = file.indexOf(marker, at + 1);
      at = found === -1 ? file.length : found;
      continue;
    }
    if (at > end) damaged.push({ from: end, to: at });
    take(Uint8Array.from(file.subarray(at + frameHeaderBytes, next)));
    recordCount += 1;
    at = next;
    end = next;
  }
  return { type: 'read', recordCount, end, damaged };
}

/** Where the frame at this place ends; undefined when there is no whole one. */
function frameEnd(file: Buffer, at: number): number | undefined {
  if (at + frameHeaderBytes > file.length) return undefined;
  if (!marker.equals(file.subarray(at, at + marker.length))) return undefined;
  const length = file.readUInt32BE(at + 4);
  const end = at + frameHeaderBytes + length;
  if (length === 0 || length > journalRecordBytesMax || end > file.length) return undefined;
  const frame = file.subarray(at, end);
  return frame.readUInt32BE(8) === checksum(frame) ? end : undefined;
}

function checksum(frame: Buffer): number {
  return crc32(frame.subarray(frameHeaderBytes), crc32(frame.subarray(4, 8)));
}
