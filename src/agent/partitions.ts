/** Splits of the mesh as people see them. */

import type { MergeReport, PartitionLog } from '../runtime/state/partition-log.ts';

export type { MergeReport };

/** What this node knows of splits. */
export interface PartitionsHandle {
  /** What healing merged, latest last; the last 64, also those before a restart. */
  reports(): readonly MergeReport[];
  /** Members that are missed now. They are asked for, for ever. */
  missing(): ReturnType<PartitionLog['missing']>;
  /** Hears of each report as it is closed; returns the function that ends it. */
  onReport(listener: (report: MergeReport) => void): () => void;
}

/** Builds the handle. */
export function createPartitionsHandle(log: PartitionLog): PartitionsHandle {
  const { reports, missing, onReport } = log;
  return { reports, missing, onReport };
}
