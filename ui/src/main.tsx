import "./tokens.css";
import "./styles.css";
import "./shell.css";
import "./table.css";
import "./pages/pages.css";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { ApiError } from "./api/client";
import { App } from "./App";
import { startTheme } from "./theme";

startTheme();

/** What was refused stays refused; what could not be reached is tried again. */
function worthRetrying(failures: number, error: Error): boolean {
  return failures < 2 && (!(error instanceof ApiError) || error.status === 0 || error.status >= 500);
}

const queries = new QueryClient({ defaultOptions: { queries: { retry: worthRetrying, staleTime: 30_000 } } });
const root = document.getElementById("root");
if (root === null) throw new Error("index.html has no root");
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={queries}>
      <App />
    </QueryClientProvider>
  </StrictMode>,
);
