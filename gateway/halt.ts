/**
 * The end of a request before its time, as an `AbortSignal` tells it, for a fraction of the price: what listens to a
 * signal outlives every minor collection of V8, and with it the whole request (docs/decisions/0066).
 */

import { LlmFailure, toLlmFailure } from './failure.ts';

/** Says once, to all who asked to hear it, that somebody must stop. */
export class Halt {
  private why: LlmFailure | undefined;
  private listeners: (() => void)[] = [];
  private controller: AbortController | undefined;

  /** One that is called when the signal is aborted. */
  static of(signal: AbortSignal): Halt {
    const halt = new Halt();
    const call = (): void =>
      halt.call(
        signal.reason instanceof LlmFailure
          ? signal.reason
          : new LlmFailure('cancelled', 'The request was cancelled.'),
      );
    if (signal.aborted) call();
    else signal.addEventListener('abort', call, { once: true });
    return halt;
  }

  get isCalled(): boolean {
    return this.why !== undefined;
  }

  /** Why it was called; undefined: it was not. */
  get reason(): LlmFailure | undefined {
    return this.why;
  }

  /** Stops whoever listens. A second call changes nothing. */
  call(why: LlmFailure): void {
    if (this.why !== undefined) return;
    this.why = why;
    const told = this.listeners;
    this.listeners = [];
    for (const listener of told) listener();
    this.controller?.abort(why);
  }

  /** @throws {LlmFailure} why it was called. */
  throwIfCalled(): void {
    if (this.why !== undefined) throw this.why;
  }

  /** Calls the listener once, when it is called after this. */
  onCall(listener: () => void): void {
    this.listeners.push(listener);
  }

  /** Takes a listener back. */
  off(listener: () => void): void {
    const at = this.listeners.lastIndexOf(listener);
    if (at !== -1) this.listeners.splice(at, 1);
  }

  /** The failure of something that ended: the reason of the call where there was one. */
  failureOf(error: unknown): LlmFailure {
    return this.why ?? toLlmFailure(error);
  }

  /** The same as a signal, for libraries that know nothing else. */
  get signal(): AbortSignal {
    if (this.controller === undefined) {
      this.controller = new AbortController();
      if (this.why !== undefined) this.controller.abort(this.why);
    }
    return this.controller.signal;
  }

  /** Waits so long, in ms, or until it is called. */
  async wait(ms: number): Promise<void> {
    if (this.why !== undefined) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.off(done);
        resolve();
      };
      const timer = setTimeout(done, ms).unref();
      this.onCall(done);
    });
  }
}
