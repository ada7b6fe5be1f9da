/** The numbers of this node on one page for Prometheus. */

import { parseAddress } from '../../kernel/address.ts';
import type { Hardware } from '../../ports/hardware.ts';
import { formatPrometheus, prometheusType } from '../../wire/prometheus.ts';
import { metricsPortDefault } from '../options.ts';
import type { NodePart, PartWorld } from '../parts.ts';
import { samplesOf } from './samples.ts';

/** Where the page lies: what scrapers ask for by default. */
const path = '/metrics';

/** Builds the part. `listen` is `host:port`, checked before. */
export function createMetricsPage(world: PartWorld, hardware: Hardware, listen: string): NodePart {
  const { node, adapters, log } = world;
  let stop = async (): Promise<void> => {};
  return {
    async start() {
      const { host, port } = parseAddress(listen, metricsPortDefault) ?? {
        host: '127.0.0.1',
        port: metricsPortDefault,
      };
      const render = (): string => formatPrometheus(samplesOf(node.status(), hardware.read()));
      const server = await adapters.serveText({ host, port, path, type: prometheusType, render });
      log.info({ host, port: server.port }, 'the metrics page is open');
      stop = () => server.stop();
    },
    stop: () => stop(),
  };
}
