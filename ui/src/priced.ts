/** When a sum of costs says something. */
interface Sum {
  readonly cost: string;
  readonly requests: number;
  readonly unpriced_requests: number;
  readonly charges: number;
}

/** The cost, or `null` where nothing in it has a price: that is unknown, and not zero. */
export function pricedCost({ cost, requests, unpriced_requests, charges }: Sum): string | null {
  return requests > 0 && unpriced_requests >= requests && charges === 0 ? null : cost;
}
