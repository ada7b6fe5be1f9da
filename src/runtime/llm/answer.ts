/** An answer of a language model, put together from its steps. */

import { MycelError } from '../../kernel/errors.ts';
import type { LlmEvent, LlmUsage } from '../../ports/language-model.ts';

/** A whole answer. */
export interface LlmAnswer {
  readonly text: string;
  readonly thoughts: string;
  /** Tools that the model wants called; `input` is JSON. */
  readonly calls: readonly { readonly id: string; readonly name: string; readonly input: string }[];
  /** `stop`, `length`, `tool_calls`, `content_filter`… */
  readonly finish: string;
  readonly usage: LlmUsage | undefined;
  readonly model: string | undefined;
  readonly target: string | undefined;
}

/** Puts one together; a `reset` begins anew. */
export function createAnswer(): { add(event: LlmEvent): void; whole(): LlmAnswer } {
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
        default:
      }
    },
    whole() {
      if (finish === undefined) {
        throw new MycelError('MYCEL_LLM_FAILED', {
          reason: 'The answer ended before it was finished.',
        });
      }
      return { text, thoughts, calls, finish, usage, model: from?.model, target: from?.target };
    },
  };
}
