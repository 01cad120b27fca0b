// The official openai package for Node: chat, stream, tools, embeddings, responses.
import OpenAI from "openai";

const client = new OpenAI({ baseURL: `${process.env.GATEWAY}/v1`, apiKey: process.env.KEY });
const messages = [{ role: "user", content: "Where is my order?" }];
const seen = [];
const note = (what, usage, text) => seen.push({ what, usage, text: Boolean(text) });

const chat = await client.chat.completions.create({ model: "gpt-4o-mini", messages });
note("chat", [chat.usage.prompt_tokens, chat.usage.completion_tokens], chat.choices[0].message.content);

let text = "";
for await (const chunk of await client.chat.completions.create({ model: "gpt-4o-mini", messages, stream: true })) {
  text += chunk.choices[0].delta.content ?? "";
}
note("stream", null, text);

const tools = [{ type: "function", function: { name: "look_up", parameters: { type: "object", properties: {} } } }];
const called = await client.chat.completions.create({ model: "gpt-4o-mini", messages, tools, tool_choice: "required" });
note("tools", null, called.choices[0].message.tool_calls[0].function.name);

const vectors = await client.embeddings.create({ model: "text-embedding-3-small", input: ["one", "two"] });
note("embeddings", [vectors.usage.prompt_tokens, 0], vectors.data[1].embedding.length);

const stream = client.responses.stream({ model: "gpt-5-mini", input: "Where is my order?" });
const final = await stream.finalResponse();
note("responses", [final.usage.input_tokens, final.usage.output_tokens], final.output_text);
console.log(JSON.stringify(seen));
