/** An answer of a language model, put together from its steps. */

import { MycelError } from '../../kernel/errors.ts';
import type { LlmUsage } from '../../ports/language-model.ts';
import type { LlmStep } from './tool-loop.ts';
import type { LlmToolStep } from './tools.ts';

/** A whole answer. */
export interface LlmAnswer {
  readonly text: string;
  readonly thoughts: string;
  /** Functions of the asker that the model wants called; `input` is JSON. */
  readonly calls: readonly { readonly id: string; readonly name: string; readonly input: string }[];
  /** `stop`, `length`, `tool_calls`, `content_filter`… */
  readonly finish: string;
  /** Of all rounds; undefined when one did not tell. */
  readonly usage: LlmUsage | undefined;
  /** The tools that were called for it, in order; the texts of the rounds before the last one are not kept. */
  readonly steps: readonly LlmToolStep[];
  readonly model: string | undefined;
  readonly target: string | undefined;
}

const nothing: LlmUsage = {
  inputTokens: 0,
  outputTokens: 0,
  cachedTokens: 0,
  reasoningTokens: 0,
};

/** Puts one together; a `reset` begins anew, a `round` too, and keeps what was used. */
export function createAnswer(): { add(event: LlmStep): void; whole(): LlmAnswer } {
  const steps: LlmToolStep[] = [];
  let spent: LlmUsage | undefined = nothing;
  let text = '';
  let thoughts = '';
  let calls: { id: string; name: string; input: string }[] = [];
  let finish: string | undefined;
  let usage: LlmUsage | undefined;
  let from: { readonly model: string; readonly target: string } | undefined;
  return {
    add(event) {
      switch (event.type) {
        case 'start':
          from = event;
          break;
        case 'text':
          text += event.text;
          break;
        case 'think':
          thoughts += event.text;
          break;
        case 'tool': {
          const call = (calls[event.index] ??= { id: '', name: '', input: '' });
          call.id += event.id ?? '';
          call.name += event.name ?? '';
          call.input += event.input ?? '';
          break;
        }
        case 'usage':
          ({ usage } = event);
          break;
        case 'finish':
          finish = event.reason;
          break;
        case 'reset':
          text = '';
          thoughts = '';
          calls = [];
          usage = undefined;
          break;
        case 'called':
          steps.push(event);
          break;
        case 'round':
          text = '';
          thoughts = '';
          calls = [];
          spent = sum(spent, usage);
          usage = undefined;
          break;
        default:
      }
    },
    whole() {
      if (finish === undefined) {
        throw new MycelError('MYCEL_LLM_FAILED', {
          reason: 'The answer ended before it was finished.',
        });
      }
      return {
        text,
        thoughts,
        calls,
        finish,
        usage: sum(spent, usage),
        steps,
        model: from?.model,
        target: from?.target,
      };
    },
  };
}

function sum(one: LlmUsage | undefined, other: LlmUsage | undefined): LlmUsage | undefined {
  if (one === undefined || other === undefined) return undefined;
  return {
    inputTokens: one.inputTokens + other.inputTokens,
    outputTokens: one.outputTokens + other.outputTokens,
    cachedTokens: one.cachedTokens + other.cachedTokens,
    reasoningTokens: one.reasoningTokens + other.reasoningTokens,
  };
}
