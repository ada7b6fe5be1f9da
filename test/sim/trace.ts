/** What happened in a simulated world, as a running hash of everything and a short readable tail. */

import type { Millis } from '../../src/kernel/core.ts';

/** How many of the latest happenings stay readable. */
const tailLimit = 200;

/** Values nested deeper than this are not hashed further: messages are flat, cycles are not. */
const depthMax = 16;

/** A running 64-bit hash over structured values; equal runs give equal hashes. */
export class Trace {
  #high = 0x811c9dc5 | 0;
  #low = 0x9e3779b9 | 0;
  #scratch = new DataView(new ArrayBuffer(8));
  #tail: { at: Millis; who: string; what: string; value: unknown }[] = [];
  #tailAt = 0;
  #count = 0;

  /** Number of happenings so far. */
  get count(): number {
    return this.#count;
  }

  add(at: Millis, who: string, what: string, value: unknown): void {
    this.#count += 1;
    this.#number(at);
    this.#text(who);
    this.#text(what);
    this.#value(value, 0);
    this.#tail[this.#tailAt] = { at, who, what, value };
    this.#tailAt = (this.#tailAt + 1) % tailLimit;
  }

  /** The hash so far, 16 hex digits. */
  hash(): string {
    const hex = (part: number): string => (part >>> 0).toString(16).padStart(8, '0');
    return hex(this.#high) + hex(this.#low);
  }

  /** The latest happenings, oldest first, a line each. */
  tail(): string[] {
    const ordered = [...this.#tail.slice(this.#tailAt), ...this.#tail.slice(0, this.#tailAt)];
    return ordered.map((entry) => {
      return `${entry.at.toFixed(3)} ${entry.who} ${entry.what} ${readable(entry.value)}`;
    });
  }

  #mix(word: number): void {
    this.#high = Math.imul(this.#high ^ word, 0x01000193);
    this.#low = Math.imul((this.#low ^ word) + (this.#high >>> 15), 0x85ebca6b);
    this.#low ^= this.#low >>> 13;
  }

  #text(text: string): void {
    this.#mix(text.length | 0x10000);
    for (let at = 0; at < text.length; at += 1) this.#mix(text.charCodeAt(at));
  }

  #number(value: number): void {
    this.#scratch.setFloat64(0, value);
    this.#mix(this.#scratch.getInt32(0));
    this.#mix(this.#scratch.getInt32(4));
  }

  #value(value: unknown, depth: number): void {
    if (typeof value === 'string') this.#text(value);
    else if (typeof value === 'number') this.#number(value);
    else if (typeof value === 'bigint') this.#text(value.toString(36));
    else if (typeof value === 'boolean') this.#mix(value ? 3 : 2);
    else if (typeof value === 'object' && value !== null) this.#object(value, depth + 1);
    else this.#mix(value === null ? 1 : 0);
  }

  #object(value: object, depth: number): void {
    if (depth > depthMax) return this.#mix(7);
    if (value instanceof Uint8Array) {
      this.#mix(value.length | 0x20000);
      for (const byte of value) this.#mix(byte);
    } else if (Array.isArray(value)) {
      this.#mix(value.length | 0x30000);
      for (const item of value) this.#value(item, depth);
    } else if (value instanceof Map || value instanceof Set) {
      this.#mix(value.size | 0x40000);
      for (const item of value) this.#value(item, depth);
    } else {
      for (const key in value) {
        this.#text(key);
        this.#value((value as Record<string, unknown>)[key], depth);
      }
      this.#mix(5);
    }
  }
}

function readable(value: unknown): string {
  const text = JSON.stringify(value, (_key, inner: unknown) => {
    if (typeof inner === 'bigint') return `${inner}n`;
    if (inner instanceof Uint8Array) return `<${inner.length} bytes>`;
    if (inner instanceof Map || inner instanceof Set) return [...inner];
    return inner;
  });
  return (text ?? '').slice(0, 240);
}
