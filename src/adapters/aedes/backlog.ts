/**
 * What waits for a client that reads slower than the mesh brings, in its order: the oldest and the newest piece in memory,
 * what lies between on the disk.
 */

import type { BacklogFiles } from './backlog-files.ts';
import { readPacket, sizeOfPacket, writePacket } from './backlog-record.ts';
import type { KeptPacket } from './backlog-record.ts';

/** Bytes of a piece, which is written and read at once; one message alone may be larger. */
const pieceBytes: number = 512 * 1024;

/** Bytes handed on before the reader is looked at again. */
const batchBytes: number = 128 * 1024;

/** What a backlog needs. */
export interface BacklogWorld {
  readonly files: BacklogFiles;
  /** Whose numbers the messages have. */
  readonly brokerId: string;
  /** Bytes that may wait on the disk. */
  readonly bytesMax: number;
  /** Bytes that may wait in memory for the disk. */
  readonly memoryBytesMax: number;
  /** Calls back, in a later turn, when the reader can be given more, or is gone. */
  whenRelieved(callback: () => void): void;
  give(kept: KeptPacket): void;
  /** The disk failed: what waits is lost. */
  failed(reason: string): void;
}

/** What waits for one client. */
export interface Backlog {
  /** Whether anything waits: what comes goes behind it. */
  isUsed(): boolean;
  /** Keeps a message behind the others. False: there is no room for it. */
  put(packet: KeptPacket): boolean;
  memoryBytes(): number;
  diskBytes(): number;
  close(): void;
}

interface Piece {
  /** Undefined while it is on the disk alone. */
  bytes: Buffer | undefined;
  readonly size: number;
  /** How far it is filled, and how far it was given. */
  filled: number;
  given: number;
  /** Its file, once it is written. */
  name: number | undefined;
  isBeingWritten: boolean;
}

/** Builds an empty one; it holds no memory until something waits. */
export function createBacklog(world: BacklogWorld): Backlog {
  const { files } = world;
  let pieces: Piece[] = [];
  let memory = 0;
  let disk = 0;
  let isPlanned = false;
  let isReading = false;
  let isClosed = false;

  function fail(error: unknown): void {
    if (!isClosed) world.failed(error instanceof Error ? error.message : String(error));
  }

  function drop(piece: Piece): void {
    if (piece.bytes !== undefined) memory -= piece.size;
    piece.bytes = undefined;
    if (piece.name === undefined) return;
    const { name } = piece;
    piece.name = undefined;
    void files.remove(name).then(() => {
      disk -= piece.size;
      files.release(piece.size);
    });
  }

  /** A new last piece; undefined: there is no room for it. */
  function open(least: number): Piece | undefined {
    const size = Math.max(pieceBytes, least);
    // One message alone may be larger than the bound.
    if (pieces.length > 0 && memory + size > world.memoryBytesMax) return undefined;
    const bytes = Buffer.allocUnsafeSlow(size);
    const piece: Piece = {
      bytes,
      size,
      filled: 0,
      given: 0,
      name: undefined,
      isBeingWritten: false,
    };
    pieces.push(piece);
    memory += size;
    spill();
    return piece;
  }

  /** The oldest is about to be read and the newest about to be filled: neither is written. */
  function spill(): void {
    for (const piece of pieces.slice(1, -1)) {
      if (piece.bytes === undefined || piece.isBeingWritten || piece.name !== undefined) continue;
      if (disk + piece.size > world.bytesMax || !files.reserve(piece.size)) return;
      write(piece, piece.bytes.subarray(0, piece.filled));
    }
  }

  function write(piece: Piece, bytes: Buffer): void {
    piece.isBeingWritten = true;
    disk += piece.size;
    files.write(bytes).then(
      (name) => {
        piece.isBeingWritten = false;
        piece.name = name;
        if (isClosed || !pieces.includes(piece)) drop(piece);
        else if (piece !== pieces[0]) {
          piece.bytes = undefined;
          memory -= piece.size;
        }
      },
      (error: unknown) => {
        disk -= piece.size;
        files.release(piece.size);
        fail(error);
      },
    );
  }

  function load(piece: Piece, name: number): void {
    isReading = true;
    memory += piece.size;
    files.read(name).then((bytes) => {
      isReading = false;
      piece.bytes = bytes;
      if (isClosed) drop(piece);
      else plan();
    }, fail);
  }

  function plan(): void {
    if (isPlanned || isReading || isClosed || pieces.length === 0) return;
    isPlanned = true;
    world.whenRelieved(() => {
      isPlanned = false;
      if (!isClosed) go();
    });
  }

  function go(): void {
    for (let given = 0; given < batchBytes && !isClosed;) {
      const [piece] = pieces;
      if (piece === undefined) return;
      if (piece.bytes === undefined) {
        if (piece.name !== undefined) load(piece, piece.name);
        return;
      }
      if (piece.given === piece.filled) {
        pieces.shift();
        // Room on the disk may have come meanwhile.
        spill();
        // What is being written is dropped when that has ended.
        if (!piece.isBeingWritten) drop(piece);
      } else {
        const from = piece.given;
        const { kept, end } = readPacket(piece.bytes, from, world.brokerId);
        piece.given = end;
        given += end - from;
        world.give(kept);
      }
    }
    plan();
  }

  return {
    isUsed: () => pieces.length > 0,
    put(kept) {
      const size = sizeOfPacket(kept);
      const last = pieces.at(-1);
      const fits = last !== undefined && last.filled + size <= last.size;
      const piece = fits ? last : open(size);
      if (piece?.bytes === undefined) return false;
      piece.filled = writePacket(piece.bytes, piece.filled, kept);
      plan();
      return true;
    },
    memoryBytes: () => memory,
    diskBytes: () => disk,
    close() {
      if (isClosed) return;
      isClosed = true;
      for (const piece of pieces) if (!piece.isBeingWritten) drop(piece);
      pieces = [];
    },
  };
}
