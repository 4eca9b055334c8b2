/** What names the bucket of everybody under a `per: global` limit, and that of those who left out what a limit counts by. */
export const GLOBAL_ID = 'global'
export const MISSING_ID = 'missing'
