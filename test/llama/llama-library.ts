/** llama.cpp itself, as a library of this machine's kind: the few of its functions that the tests use. */

import { createRequire } from 'node:module';

/** A piece of an answer, with all of what it says so far, or its end. */
export interface LlamaWord {
  /** What it says so far; left out where nothing is parsed. */
  readonly content?: string;
  /** Of a piece. */
  readonly token?: string;
  /** Of the end: all that was made. */
  readonly text?: string;
  readonly stopped_eos?: boolean;
  readonly tokens_predicted?: number;
}

/** One model in memory. */
export interface LlamaContext {
  enableParallelMode(options: { readonly n_parallel: number; readonly n_batch: number }): boolean;
  /** Computes when its turn comes; tells every token and then the end. */
  queueCompletion(
    options: Readonly<Record<string, unknown>>,
    tell: (error: unknown, word: LlamaWord | undefined) => void,
  ): { readonly requestId: number };
  cancelRequest(requestId: number): void;
  tokenize(text: string): Promise<{ readonly tokens: Int32Array }>;
  getFormattedChat(
    messages: readonly unknown[],
    template: undefined,
    options: Readonly<Record<string, unknown>>,
  ): { readonly prompt: string };
  embedding(text: string, options: object): Promise<{ readonly embedding: Float32Array }>;
  release(): Promise<void>;
}

/** Loads the library. @throws where it is not built for. */
export function loadLlama(): {
  readonly LlamaContext: new (options: Readonly<Record<string, unknown>>) => LlamaContext;
} {
  const name = `@fugood/node-llama-${process.platform}-${process.arch}`;
  return createRequire(import.meta.url)(name) as ReturnType<typeof loadLlama>;
}
