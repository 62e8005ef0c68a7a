/**
 * The app's names for what the server takes and sends. The types themselves are in generated.ts, which the server's
 * description is made into; written here is only what the app makes up itself.
 */
import type { Case, EditStep, ProvenanceFinding, Second, SelectionAnswer } from "./generated";

export type {
  Archive,
  AtlasInfo,
  Atlases,
  BankPicture,
  BuildAnswer,
  BuildProgress,
  BuildRequest,
  Case,
  Collections,
  Detected,
  DetectorThreshold,
  Distilled,
  EditStep as Edit,
  Evidence,
  Facts as FileFacts,
  FeedbackAnswer,
  FeedbackRequest,
  Info as ServerInfo,
  NeighborAnswer,
  Neighbors as Neighbours,
  Problem,
  ProvenanceFinding,
  Second,
  Stability,
  TrainingCounts,
  UnfinishedBuild,
  UnopenedAtlas,
  WhatIfAnswer as WhatIf,
} from "./generated";

export type Word = Case["verdict"];
export type Agreement = Second["agreement"];
export type Claim = ProvenanceFinding["claims"];
export type Strength = ProvenanceFinding["strength"];

/** How a case is asked for: at another base rate, and judged under ordinary deliveries too. */
export interface CaseOptions {
  readonly base_rate?: number | null;
  readonly stability?: boolean;
}

/** What to change: edits in order, and distilled dimensions to switch off. */
export interface Question {
  readonly edits: readonly EditStep[];
  readonly off: readonly number[];
  readonly base_rate: number | null;
}

/** A selection as the server counted it; its document is of the kind that the app writes. */
export type Selected<Spec> = Omit<SelectionAnswer, "spec"> & { readonly spec: Spec };
