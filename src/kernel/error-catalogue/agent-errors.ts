/** Failures about services, agents and the language models they ask. */

export const agentErrors = {
  MYCEL_BAD_AGENT: {
    retryable: false,
    text: 'The module is no agent that can be deployed.',
    fix: 'Correct the module: it must load and export "agent".',
  },
  MYCEL_BAD_BUNDLE: {
    retryable: false,
    text: 'The code of an agent could not be fetched, or is not what was deployed.',
    fix: 'Deploy it again; if it repeats, a member of the mesh is faulty or hostile.',
  },
  MYCEL_BAD_INPUT: {
    retryable: false,
    text: 'The input of the action is not what it takes.',
    fix: 'Correct the field named in the message; "mycel services" shows what there is.',
  },
  MYCEL_BAD_OUTPUT: {
    retryable: false,
    text: 'The action answered with something its own schema does not allow.',
    fix: 'Correct the service: its handler or its output schema.',
  },
  MYCEL_CALL_LOOP: {
    retryable: false,
    text: 'Calls are inside one another too deep.',
    fix: 'Look for services that call each other in a circle: the trace in the details names the request.',
  },
  MYCEL_FENCED: {
    retryable: false,
    text: 'A later holder has taken over: its fencing token is higher.',
    fix: 'Stop what needs it: the later one goes on. Take the lock again to act anew.',
  },
  MYCEL_LLM_FAILED: {
    retryable: true,
    text: 'The language model gave no answer.',
    fix: 'Read the reason; "mycel llm targets" shows what the gateways can reach.',
  },
  MYCEL_LLM_TARGET: {
    retryable: true,
    text: 'A target of the gateway cannot be used.',
    fix: 'Run "mycel gateway check"; it says what is wrong with each target.',
  },
  MYCEL_MAILBOX_FULL: {
    retryable: true,
    text: 'The agent does not take messages as fast as they come.',
    fix: 'Send more slowly, or deploy more replicas.',
  },
  MYCEL_NO_SITE: {
    retryable: false,
    text: 'No node can run this agent.',
    fix: 'Lower what it requires, or add a node that has it: "mycel members".',
  },
  MYCEL_SERVICE_BUSY: {
    retryable: true,
    text: 'The service takes no more requests now.',
    fix: 'Call again later, or run another instance of it.',
  },
  MYCEL_SINK_FULL: {
    retryable: true,
    text: 'The sink takes no more effects now.',
    fix: 'Try again later; a sink remembers 1024 keys for ever, so use few names for many effects.',
  },
  MYCEL_TASKS_FULL: {
    retryable: true,
    text: 'This node conducts as many auctions as it can.',
    fix: 'Submit again when some tasks are over, or at another node.',
  },
  MYCEL_TASK_FAILED: {
    retryable: false,
    text: 'The task ended without having been done.',
    fix: 'Read the reason; "mycel auctions" shows who bid and what came of it.',
  },
  MYCEL_TOOL_LIMIT: {
    retryable: false,
    text: 'The model wants more of its tools than this answer may use.',
    fix: 'Ask for less at once, or raise toolRounds or toolCalls. What was called before has been carried out.',
  },
  MYCEL_TOOL_REFUSED: {
    retryable: false,
    text: 'The tool may not be called.',
    fix: 'Read the reason; for agents it is toolPolicy of their node that lets a model change something, for MCP clients mcp.tools.',
  },
  MYCEL_UNKNOWN_ACTION: {
    retryable: false,
    text: 'The service has no such action.',
    fix: 'See "mycel services".',
  },
  MYCEL_UNKNOWN_AGENT: {
    retryable: false,
    text: 'There is no such agent.',
    fix: 'See "mycel agents".',
  },
  MYCEL_UNKNOWN_TASK: {
    retryable: true,
    text: 'Nobody takes such tasks, or there is no such task.',
    fix: 'Deploy an agent that has this kind in "tasks"; "mycel tasks" shows what is known.',
  },
  MYCEL_UNKNOWN_SERVICE: {
    retryable: true,
    text: 'No node offers this service.',
    fix: 'See "mycel services"; a service of a node that has just joined takes a moment to be known.',
  },
  MYCEL_WORK_FAILED: {
    retryable: false,
    text: 'An item of the work has failed.',
    fix: 'Read the reason; with onError: "keep" the other items go on.',
  },
} as const;
