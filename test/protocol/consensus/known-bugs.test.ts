import { test } from 'vitest';
import { bugScripts } from './bug-scripts.ts';

test.each(Object.entries(bugScripts))('%s', (_, run) => run());
