/** How the states of a member look on a screen. */

import type { MemberState } from 'mycel';

import type { Style } from './terminal.ts';

/** The colour of each state. */
export const memberColours: Readonly<Record<MemberState, Style>> = {
  alive: 'green',
  suspect: 'yellow',
  dead: 'red',
  left: 'dim',
  dormant: 'cyan',
};
