/** The names by which members call a gateway. */

/** A stream of frames. */
export const askMethod = 'llm.ask';

/** What a gateway has and how busy it is. */
export const advertMethod = 'llm.advert';

/** Who used what. */
export const usageMethod = 'llm.usage';

/** From gateway to gateway: who answers a request. */
export const claimMethod = 'llm.claim';

/** What a node with a gateway tells the mesh that it can. */
export const gatewayCapability = 'llm-gateway';

/** From gateway to gateway: a part of a budget, please. */
export const lendMethod = 'llm.lend';
