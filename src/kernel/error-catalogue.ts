/** Every operational failure a caller can meet, with its stable code. docs/errors.md mirrors the table. */

import { agentErrors } from './error-catalogue/agent-errors.ts';
import { meshErrors } from './error-catalogue/mesh-errors.ts';
import { deviceErrors } from './error-catalogue/device-errors.ts';
import { messageErrors } from './error-catalogue/message-errors.ts';
import { nodeErrors } from './error-catalogue/node-errors.ts';
import { stateErrors } from './error-catalogue/state-errors.ts';
import { updateErrors } from './error-catalogue/update-errors.ts';

/** `text` says what is wrong, `fix` what to do; `retryable` whether the same call may succeed later unchanged. */
export const errorCatalogue: typeof nodeErrors &
  typeof meshErrors &
  typeof messageErrors &
  typeof stateErrors &
  typeof agentErrors &
  typeof updateErrors &
  typeof deviceErrors = {
  ...nodeErrors,
  ...meshErrors,
  ...messageErrors,
  ...stateErrors,
  ...agentErrors,
  ...updateErrors,
  ...deviceErrors,
};
