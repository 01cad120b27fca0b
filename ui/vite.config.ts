import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";
import { compress } from "./dev/compress.ts";
import { sampleApi } from "./dev/sample-api.ts";

/** Where `npm run dev` sends API calls; without it a sample API answers. */
const control = process.env.FARTHING_CONTROL;

export default defineConfig(({ command }) => ({
  plugins: [react(), compress(), ...(command === "serve" && control === undefined ? [sampleApi()] : [])],
  server: control === undefined ? {} : { proxy: { "/api": control } },
  build: {
    outDir: "../src/farthing/web/static",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 600,
  },
}));
