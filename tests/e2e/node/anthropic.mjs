// The official @anthropic-ai/sdk package for Node: messages, stream, tools.
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: process.env.GATEWAY, apiKey: process.env.KEY });
const asked = { model: "claude-haiku-4-5", max_tokens: 60, messages: [{ role: "user", content: "Where is my order?" }] };
const seen = [];
const note = (what, usage, text) =>
  seen.push({ what, usage: [usage.input_tokens, usage.output_tokens], text: Boolean(text) });

const whole = await client.messages.create(asked);
note("chat", whole.usage, whole.content[0].text);

const stream = client.messages.stream(asked);
const final = await stream.finalMessage();
note("stream", final.usage, await stream.finalText());

const tools = [{ name: "look_up", input_schema: { type: "object", properties: {} } }];
const called = await client.messages.create({ ...asked, tools, tool_choice: { type: "any" } });
note("tools", called.usage, called.content[0].name);
console.log(JSON.stringify(seen));
