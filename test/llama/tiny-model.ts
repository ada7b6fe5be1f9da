/**
 * A language model small enough to be made on the spot: two layers of the llama architecture, 118 000 weights by chance
 * from a seed, a vocabulary of every byte and a few words. It knows nothing and says nothing sensible, and every answer
 * is computed from its prompt by the same code that computes those of large ones.
 */

import type { Buffer } from 'node:buffer';

import { createRandom } from '../../src/kernel/random.ts';
import { encodeGguf } from './gguf.ts';
import type { GgufTensor } from './gguf.ts';

/** What it is called. */
export const tinyModelName = 'tiny';

/** Tokens that prompt and answer may have together. */
export const tinyContext = 2048;

/** Words of the vocabulary; it says little else. */
export const tinyWords: readonly string[] =
  'the mesh node link sensor reads says hello is on off warm cold and of a light door motor stops starts .'.split(
    ' ',
  );

const width = 64;
const inner = 128;
const layers = 2;
const heads = 4;

/** Kinds of tokens: unknown, control, byte, word. */
const kinds = { unknown: 2, control: 3, byte: 6, word: 1 };

/** How a conversation becomes a prompt, in the language of llama.cpp's templates. */
const template =
  "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}";

/** The bytes of its file. */
export function tinyModel(seed: number): Buffer {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${hexOf(byte)}>`);
  const tokens = ['<unk>', '<s>', '</s>', ...bytes, ...tinyWords.map((word) => `▁${word}`)];
  const firstWord = 3 + bytes.length;
  return encodeGguf(
    {
      'general.architecture': { type: 'string', value: 'llama' },
      'general.name': { type: 'string', value: tinyModelName },
      'llama.context_length': { type: 'uint32', value: tinyContext },
      'llama.embedding_length': { type: 'uint32', value: width },
      'llama.block_count': { type: 'uint32', value: layers },
      'llama.feed_forward_length': { type: 'uint32', value: inner },
      'llama.attention.head_count': { type: 'uint32', value: heads },
      'llama.attention.layer_norm_rms_epsilon': { type: 'float32', value: 1e-5 },
      'llama.rope.dimension_count': { type: 'uint32', value: width / heads },
      'llama.vocab_size': { type: 'uint32', value: tokens.length },
      'tokenizer.ggml.model': { type: 'string', value: 'llama' },
      'tokenizer.ggml.tokens': { type: 'strings', value: tokens },
      'tokenizer.ggml.scores': {
        type: 'float32s',
        value: tokens.map((_, at) => Math.min(0, firstWord - 1 - at)),
      },
      'tokenizer.ggml.token_type': {
        type: 'int32s',
        value: [
          kinds.unknown,
          kinds.control,
          kinds.control,
          ...bytes.map(() => kinds.byte),
          ...tinyWords.map(() => kinds.word),
        ],
      },
      'tokenizer.ggml.bos_token_id': { type: 'uint32', value: 1 },
      'tokenizer.ggml.eos_token_id': { type: 'uint32', value: 2 },
      'tokenizer.ggml.unknown_token_id': { type: 'uint32', value: 0 },
      'tokenizer.ggml.add_bos_token': { type: 'bool', value: true },
      // The words of a grammar must begin where the prompt ends.
      'tokenizer.ggml.add_space_prefix': { type: 'bool', value: false },
      'tokenizer.chat_template': { type: 'string', value: template },
    },
    weights(seed, tokens.length, (token) => token >= firstWord),
  );
}

/** Weights around 0, as large as keeps what they make of the input about as large as it was. */
function weights(
  seed: number,
  tokenCount: number,
  isWord: (token: number) => boolean,
): GgufTensor[] {
  const random = createRandom(seed);
  // Box and Muller: two numbers of one kind make one of the other.
  const normal = (): number =>
    Math.sqrt(-2 * Math.log(1 - random.unit())) * Math.cos(2 * Math.PI * random.unit());
  const tensor = (
    name: string,
    dimensions: number[],
    at: (index: number) => number,
  ): GgufTensor => ({
    name: `${name}.weight`,
    dimensions,
    data: Float32Array.from({ length: dimensions.reduce((a, b) => a * b, 1) }, (_, i) => at(i)),
  });
  const drawn = (name: string, from: number, to: number): GgufTensor =>
    tensor(name, [from, to], () => normal() / Math.sqrt(from));
  const ones = (name: string): GgufTensor => tensor(name, [width], () => 1);
  return [
    tensor('token_embd', [width, tokenCount], normal),
    ...Array.from({ length: layers }, (_, layer) => `blk.${layer}`).flatMap((at) => [
      ones(`${at}.attn_norm`),
      drawn(`${at}.attn_q`, width, width),
      drawn(`${at}.attn_k`, width, width),
      drawn(`${at}.attn_v`, width, width),
      drawn(`${at}.attn_output`, width, width),
      ones(`${at}.ffn_norm`),
      drawn(`${at}.ffn_gate`, width, inner),
      drawn(`${at}.ffn_up`, width, inner),
      drawn(`${at}.ffn_down`, inner, width),
    ]),
    ones('output_norm'),
    // Bytes are seldom chosen, so that answers are readable, and neither is the end: only a limit or a grammar ends one.
    tensor(
      'output',
      [width, tokenCount],
      (index) => normal() * (isWord(Math.floor(index / width)) ? 0.4 : 0.02),
    ),
  ];
}

function hexOf(byte: number): string {
  return byte.toString(16).toUpperCase().padStart(2, '0');
}
