/** The front door of the gateway: what the `mycel gateway` commands are built on. */

export { checkTargets } from './check.ts';
export type { TargetCheck } from './check.ts';
export { findTargets } from './config/find.ts';
export { forgetKeys, httpPortDefault, loadConfig, resolveConfig } from './config/load.ts';
export type { GatewayConfig, TargetConfig } from './config/load.ts';
export { openGateway } from './gateway.ts';
export type { Gateway, GatewayOptions } from './gateway.ts';
