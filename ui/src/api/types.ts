/** Short names for the generated types of the control API. */
import type { components } from "./schema";

type Schemas = components["schemas"];

export type Session = Schemas["Session"];
export type Overview = Schemas["Overview"];
export type Totals = Schemas["Totals"];
export type Group = Schemas["Group"];
export type Bucket = Schemas["Bucket"];
export type MonthToDate = Schemas["MonthToDate"];
export type SpendAnswer = Schemas["SpendAnswer"];
export type RequestsAnswer = Schemas["RequestsAnswer"];
export type RequestRow = Schemas["RequestRow"];
export type RequestDetail = Schemas["RequestDetail"];
export type RequestFact = Schemas["RequestFact"];
export type CostLine = Schemas["CostLine"];
export type Decision = Schemas["DecisionView"];
export type KeyView = Schemas["KeyView"];
export type KeyDraft = Schemas["KeyDraft"];
export type KeyCreated = Schemas["KeyCreated"];
export type KeysAnswer = Schemas["KeysAnswer"];
export type PriceView = Schemas["PriceView"];
export type PricesAnswer = Schemas["PricesAnswer"];
export type ProviderView = Schemas["ProviderView"];
export type ProvidersAnswer = Schemas["ProvidersAnswer"];
export type DimensionValues = Schemas["DimensionValues"];
export type HealthView = Schemas["HealthView"];
export type Problem = Schemas["Problem"];
export type Scope = Schemas["Scope"];
export type Hint = Schemas["Hint"];
export type Limit = Schemas["LimitView"];
export type LimitDraft = Schemas["LimitDraft"];
export type LimitChange = Schemas["LimitChange"];
export type Budget = Schemas["BudgetView"];
export type BudgetsAnswer = Schemas["BudgetsAnswer"];
export type BudgetDetail = Schemas["BudgetDetail"];
export type Pot = Schemas["PotView"];
export type Notice = Schemas["NoticeView"];
export type NoticesAnswer = Schemas["NoticesAnswer"];
export type Approval = Schemas["ApprovalView"];
export type ApprovalDraft = Schemas["ApprovalDraft"];
export type ApprovalsAnswer = Schemas["ApprovalsAnswer"];
export type RulesAnswer = Schemas["RulesAnswer"];
export type Collected = Schemas["Collected"];
export type FieldChange = Schemas["ChangeView"];
export type AuditEntry = Schemas["EntryView"];
export type AuditAnswer = Schemas["AuditAnswer"];
export type Chain = Schemas["ChainView"];
export type Person = Schemas["PersonView"];
export type PersonDraft = Schemas["PersonDraft"];
export type PersonCreated = Schemas["PersonCreated"];
export type PeopleAnswer = Schemas["PeopleAnswer"];
export type PersonSession = Schemas["SessionView"];
export type SessionsAnswer = Schemas["SessionsAnswer"];
export type TokenCreated = Schemas["TokenCreated"];
export type LoginWays = Schemas["LoginWays"];

export type CacheAnswer = Schemas["CacheAnswer"];
export type CacheKind = Schemas["KindSums"];
export type CacheSums = Schemas["CacheSums"];
export type CacheNamespace = Schemas["NamespaceView"];
export type CacheStanding = Schemas["StandingView"];
export type CacheHit = Schemas["CacheHit"];
export type CacheHits = Schemas["CacheHits"];
export type CacheDone = Schemas["CacheDone"];

/** The data of a server-sent event; OpenAPI cannot describe those. */
export interface Landed {
  readonly through: string | null;
  readonly version: number;
}
