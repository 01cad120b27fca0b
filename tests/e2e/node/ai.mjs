// Vercel's ai package over its OpenAI-compatible provider: generate, stream, tools, embeddings.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embed, generateText, jsonSchema, streamText, tool } from "ai";

const farthing = createOpenAICompatible({
  name: "farthing",
  baseURL: `${process.env.GATEWAY}/v1`,
  apiKey: process.env.KEY,
});
const seen = [];
const note = (what, usage, text) => seen.push({ what, usage, text: Boolean(text) });
const model = farthing("gpt-4o-mini");
const prompt = "Where is my order?";

const whole = await generateText({ model, prompt });
note("chat", [whole.usage.inputTokens, whole.usage.outputTokens], whole.text);

const stream = streamText({ model, prompt });
let text = "";
for await (const part of stream.textStream) text += part;
note("stream", null, text);

const look = tool({ description: "Look up", inputSchema: jsonSchema({ type: "object", properties: {} }) });
const called = await generateText({ model, prompt, tools: { look_up: look }, toolChoice: "required" });
note("tools", null, called.toolCalls.length);

const vector = await embed({ model: farthing.textEmbeddingModel("text-embedding-3-small"), value: "one" });
note("embeddings", null, vector.embedding.length);
console.log(JSON.stringify(seen));
