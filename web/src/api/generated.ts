/** What the server takes and sends. Written by `python scripts/api_types.py`; change the server instead. */

/** An open archive and what is in it, in its order. */
export interface Archive {
  readonly id: string;
  readonly name: string;
  readonly members: readonly ArchiveMember[];
}

/** One entry of an archive: a picture, or something that cannot be used. */
export interface ArchiveMember {
  readonly name: string;
  /** Why it cannot be judged, null where that is not known yet. */
  readonly problem: string | null;
}

/** What an atlas is: its record, the names of its dimensions, columns to filter by, and counts. */
export interface AtlasInfo {
  /** The name in addresses. */
  readonly name: string;
  /** The feature kind that was distilled. */
  readonly kind: string;
  readonly perturbation: string;
  readonly images: number;
  readonly labelled: number;
  readonly added: number;
  readonly dimensions: number;
  readonly patches: number;
  /** Patches along a side of a relevance map. */
  readonly grid: number;
  /** The finest level of the overview; the coarsest is 0. */
  readonly levels: number;
  /** Probabilities at and beyond which a verdict is given. */
  readonly thresholds: readonly [number, number];
  readonly projection: string;
  readonly held_out: string;
  readonly build: EncoderBuild;
  readonly audit: FileAudit;
  readonly command: string;
  readonly version: string;
  readonly seed: number;
  readonly counts: Counts;
  /** Of the selection of all images. */
  readonly key: string;
  readonly names: readonly string[];
  readonly weights: readonly number[];
  readonly bias: number;
  readonly categories: Readonly<Record<string, readonly CategoryName[]>>;
  /** Held out, of all labelled images. */
  readonly auc: number | null;
  readonly has_maps: boolean;
  readonly prototypes: number;
  readonly saved_selections: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** The atlases of this server. */
export interface Atlases {
  readonly atlases: readonly (AtlasInfo | UnopenedAtlas)[];
}

/** A picture as one bank of known images has it. */
export interface BankDistances {
  readonly verdict: "ai" | "real" | "inconclusive" | "out_of_domain";
  readonly probability: number;
  /** Cosine distance of the nearest known real image. */
  readonly nearest_real: number | null;
  /** Of the nearest known generated one. */
  readonly nearest_fake: number | null;
}

/** Whether the picture of an image in the detector's bank can be shown. */
export interface BankPicture {
  readonly id: string;
  readonly state: "there" | "no-path" | "in-archive" | "outside-roots" | "unknown";
}

/** The build that runs, or the last one; null where there was none. */
export interface BuildAnswer {
  readonly build: BuildProgress | null;
}

/** A build and how far it is. */
export interface BuildProgress {
  readonly name: string;
  readonly folder: string;
  readonly state: "running" | "done" | "failed" | "cancelled";
  /** listing, encoder, extracting, distiller, maps, prototypes or cells. */
  readonly step: string;
  readonly done: number;
  /** Null where it is not known. */
  readonly total: number | null;
  /** Images that could not be read. */
  readonly failed: number;
  /** Images of the atlas, once it is built. */
  readonly images: number | null;
  /** Why images could not be read, with counts. */
  readonly reasons: Readonly<Record<string, number>>;
  /** New images without a label. */
  readonly unlabelled: number;
  readonly seconds: number;
  /** Why it failed; else empty. */
  readonly message: string;
}

/** A folder of images from which an atlas is to be built. */
export interface BuildRequest {
  /** Folder, relative to the collections' folder. */
  readonly path: string;
  /** Of the atlas. */
  readonly name: string;
  /** From folders named real, fake, …; or one label for all images. */
  readonly labels?: "folders" | "real" | "fake" | "unknown";
  /** The server's distilled map, which needs no labels, or one fitted to these images. */
  readonly dimensions?: "shipped" | "fitted";
}

/** A bin of the reliability curve: mean probability, and the share that is generated. */
export interface CalibrationBin {
  readonly low: number;
  readonly high: number;
  readonly mean: number;
  readonly share: number;
  readonly n: number;
}

/** One judged image. */
export interface Case {
  /** SHA-256 of the file; of the file and the edits for an edited one. */
  readonly id: string;
  readonly name: string;
  readonly verdict: "ai" | "real" | "inconclusive" | "out_of_domain";
  readonly probability: number;
  readonly interval: readonly [number, number];
  readonly thresholds: Thresholds;
  readonly base_rate: number;
  readonly reasons: readonly string[];
  /** Null where the verdict is another than ai, or no known family is likely. */
  readonly family: Family | null;
  /** Null where one detector judged, and not an ensemble of several. */
  readonly ensemble: Ensemble | null;
  /** Null where one detector judges alone. */
  readonly second: Second | null;
  /** A sentence to quote. */
  readonly sentence: string;
  readonly facts: Facts;
  /** What the file says of itself, the strongest first; it moves no verdict, and an empty list proves nothing. */
  readonly provenance: readonly ProvenanceFinding[];
  readonly logit: number;
  readonly domain_distance: number | null;
  /** `logit` as a sum; null where nearest neighbours decide, which are then the evidence. */
  readonly evidence: Evidence | null;
  /** True where it can be said which patches `logit` was read from. */
  readonly readable: boolean;
  /** Another reader; null where the server has no distilled map. */
  readonly distilled: Distilled | null;
  readonly neighbors: Neighbors;
  readonly stability: Stability | null;
  /** What was done to the picture, null for the picture as it came. */
  readonly edits: string | null;
  /** The case of the original, for an edited picture. */
  readonly derived_from: string | null;
  readonly versions: Versions;
}

/** A name in a column to filter by. */
export interface CategoryName {
  readonly name: string;
  /** Images that have it. */
  readonly n: number;
}

/** One folder below the collections' folder, and what has been built. */
export interface Collections {
  /** Name of the collections' folder. */
  readonly root: string;
  /** Of the folder that is listed; empty for the collections' folder. */
  readonly path: string;
  readonly folders: readonly Folder[];
  /** Files right in this folder, images or not. */
  readonly files: number;
  /** There is more than is listed. */
  readonly more: boolean;
  /** Finished atlases in the collections' folder. */
  readonly atlases: readonly string[];
  /** The build that runs, or the last one. */
  readonly build: BuildProgress | null;
  readonly unfinished: readonly UnfinishedBuild[];
}

/** A name in a column, among all images and in the selection. */
export interface ColumnName {
  readonly name: string;
  /** Images that have it. */
  readonly n: number;
  /** Selected images that have it, the column's own condition left out. */
  readonly selected: number;
}

/** A column of the collection with counts; either `names`, or a histogram over `edges`. */
export interface ColumnView {
  readonly name: string;
  readonly kind: "category" | "number" | "date";
  readonly group: "tags" | "verdict" | "image" | "file" | "manifest";
  /** Images without a value. */
  readonly missing: number;
  readonly missing_selected: number;
  readonly distinct?: number;
  readonly names?: readonly ColumnName[];
  readonly edges?: readonly number[];
  readonly counts?: readonly number[];
  readonly selected?: readonly number[];
}

/** Images by outcome at the one threshold, which answers for every image. */
export interface Confusion {
  readonly tn: number;
  readonly fp: number;
  readonly fn: number;
  readonly tp: number;
}

/** One picture that occurs several times. */
export interface CopyGroup {
  /** Of its first image; `copies` in a selection takes it. */
  readonly row: number;
  /** The first 24 of its images. */
  readonly rows: readonly number[];
  /** Of those. */
  readonly labels: readonly ("real" | "fake" | "unknown")[];
  readonly n: number;
  /** Of its images; null where there is no selection. */
  readonly selected: number | null;
  readonly real: number;
  readonly fake: number;
  /** The five most frequent of its generated images. */
  readonly generators: readonly string[];
  /** What its images straddle. */
  readonly across: readonly ("class" | "generator")[];
}

/** Near-duplicates, those across classes first, then those across generators, each kind by size. */
export interface CopyGroups {
  readonly total: number;
  /** In all groups. */
  readonly images: number;
  /** Groups of real and generated images. */
  readonly across_class: number;
  /** Groups of generated images by several generators. */
  readonly across_generators: number;
  /** Bits of 64 in which perceptual hashes may differ; 0 in large atlases. */
  readonly distance: number;
  readonly groups: readonly CopyGroup[];
}

/** Images of a selection: all, by label, and by outcome of the atlas's verdict. */
export interface Counts {
  readonly count: number;
  readonly real: number;
  readonly fake: number;
  readonly fp: number;
  readonly fn: number;
  readonly tp: number;
  readonly tn: number;
  /** Labelled images whose verdict is inconclusive: no error. */
  readonly unanswered: number;
}

/** One way in which the image might have been delivered, and the probability then. */
export interface Delivery {
  readonly delivery: string;
  readonly probability: number;
  readonly verdict: "ai" | "real" | "inconclusive" | "out_of_domain";
}

/** What became of an upload. */
export interface Detected {
  readonly cases: readonly Case[];
  readonly failures: readonly Failure[];
}

/** A threshold on the logit, and the error rate that it stands for. */
export interface DetectorThreshold {
  readonly logit: number;
  /** The rate asked for, null where none was. */
  readonly rate: number | null;
  /** Share of the `n` held-out scores beyond it. */
  readonly observed: number | null;
  readonly n: number;
  /** 95 % upper bound of the true rate, were scores independent. */
  readonly upper: number | null;
  /** Whether `n` suffice to keep the expected rate at or below `rate`. */
  readonly guaranteed: boolean;
  readonly note: string;
}

/** Above `ai` an image is called AI-generated, at or below `real` it is called real. */
export interface DetectorThresholds {
  readonly ai: DetectorThreshold;
  readonly real: DetectorThreshold;
}

/** What putting a picture into the detector's bank would change about it, and about copies of it. */
export interface Difference {
  readonly before: BankDistances;
  /** Null where the bank has the picture already. */
  readonly after: BankDistances | null;
  /** Its label in the bank, where it has it. */
  readonly known_as: "real" | "fake" | null;
  /** The score comes from a fit, and moves only when that is done again. */
  readonly refit: boolean;
}

/** What is to be said of a dimension. */
export interface DimensionEdit {
  readonly name?: string;
  readonly note?: string;
  /** Fields as the client saw them, an empty name for the suggested one; if they differ by now, 412. */
  readonly was?: DimensionFields | null;
}

/** What people say of a dimension. */
export interface DimensionFields {
  readonly name?: string;
  readonly note?: string;
}

/** What people have said of a dimension; what nobody set is left out. */
export interface DimensionNotes {
  readonly name?: string;
  readonly note?: string;
}

/** A distilled dimension: its impacts as histograms over the same bins, and the images at either end. */
export interface DimensionView {
  readonly dimension: number;
  readonly name: string;
  readonly suggested: string;
  readonly note: string;
  readonly weight: number;
  /** Standard deviation of its impacts. */
  readonly spread: number;
  readonly off: boolean;
  /** Where the histograms begin and end. */
  readonly edges: readonly [number, number];
  readonly real: readonly number[];
  readonly fake: readonly number[];
  readonly selected: readonly number[] | null;
  readonly selected_mean?: number;
  readonly auc_without: number | null;
  /** Rows of the lowest impacts, without those that are 0. */
  readonly lowest: readonly number[];
  readonly highest: readonly number[];
  /** Images about which it says nothing: their impact is 0. */
  readonly quiet: number;
  /** Whose images it is strongest in. */
  readonly generators: readonly GeneratorShare[];
}

/** Another reader of the image, a distilled map, whose dimensions may have names; it decides nothing. `bias` and the impacts that are not off sum to its own `logit`, which is not the case's. */
export interface Distilled {
  readonly values: readonly number[];
  /** Signed shares of this reader's logit, positive towards generated. */
  readonly impacts: readonly number[];
  readonly bias: number;
  /** This reader's own, not the one that decided. */
  readonly logit: number;
  /** True where it is on the same side of even odds as the detector. */
  readonly agrees: boolean;
  readonly names: readonly string[];
  /** Dimensions that do not count. */
  readonly off: readonly number[];
}

/** One perturbation, such as jpeg 60, blur 1.5, resize 0.5, centercrop 0.9, screenshot. */
export interface EditStep {
  readonly name: string;
  readonly value?: number | string | null;
}

/** An encoder's weights, preprocessing and dtype: what features and detectors are bound to. */
export interface EncoderBuild {
  readonly encoder: string;
  /** Their SHA-256. */
  readonly weights: string;
  readonly transform: string;
  readonly dtype: string;
  /** Of the other four. */
  readonly fingerprint: string;
}

/** What the members of an ensemble say, and whether they disagree. */
export interface Ensemble {
  readonly members: readonly MemberOpinion[];
  /** Range of the members' probabilities at even odds. */
  readonly spread: number;
  /** Spread that few held-out images exceed. */
  readonly limit: number;
  /** True where one member says ai and another real. */
  readonly contradict: boolean;
  /** True where the spread is above the limit. */
  readonly unusual: boolean;
  /** True where there is no answer because the members contradict each other. */
  readonly withheld: boolean;
  /** True where they contradict, or the spread is unusual. */
  readonly disagree: boolean;
  /** In words, where they disagree. */
  readonly sentence: string | null;
}

/** A figure and its interval. */
export interface EstimateAnswer {
  readonly value: number | null;
  readonly low: number | null;
  readonly high: number | null;
}

/** Held-out figures of a selection; the last four need images of both classes. */
export interface Evaluation {
  readonly n: number;
  readonly unlabelled: number;
  readonly threshold: number;
  readonly base_rate: number;
  /** The atlas's own, at even odds. */
  readonly thresholds: readonly [number, number];
  readonly outcomes: Outcomes;
  readonly confusion: Confusion;
  readonly generators: readonly ShareCalled[];
  readonly sources: readonly ShareCalled[];
  readonly worst: readonly WorstCase[];
  readonly off: readonly number[];
  readonly audit: FileAudit;
  readonly held_out: string;
  readonly metrics?: Metrics;
  readonly rates?: Rates;
  readonly calibration?: readonly CalibrationBin[];
  readonly roc?: readonly (readonly [number, number])[];
}

/** The logit that decided as bias, named parts and a rest, which sum to it. ``decision``: by named concepts and blocks of the encoder. ``reading``: by where the encoder read it: the picture, early and late, and what it works out of that. ``concepts``: by named concepts alone, with everything else in the rest. */
export interface Evidence {
  readonly of: "decision" | "reading" | "concepts";
  /** The case's. */
  readonly logit: number;
  /** What the same weights give a typical real image. */
  readonly bias: number;
  /** The largest first. */
  readonly parts: readonly EvidencePart[];
  /** Rounding, below 1e-9; for `concepts`, what has no name. */
  readonly rest: number;
  readonly sentences: readonly string[];
}

/** One named share of a logit. */
export interface EvidencePart {
  readonly name: string;
  readonly logit: number;
  /** Standard deviations from a typical real image, for concepts. */
  readonly amount?: number;
}

/** A typical image with the box of its region, shares of the picture's sides. */
export interface Exemplar {
  readonly row: number;
  readonly x0: number | null;
  readonly y0: number | null;
  readonly x1: number | null;
  readonly y1: number | null;
  readonly distance: number | null;
}

/** What the file is, apart from its picture. */
export interface Facts {
  readonly format: string;
  readonly mode: string;
  readonly width: number;
  readonly height: number;
  readonly bytes: number;
  readonly sha256: string;
  readonly frames: number;
  readonly jpeg_quality: number | null;
  readonly has_icc: boolean;
  readonly has_exif: boolean;
  readonly notes: readonly string[];
}

/** An image that could not be judged. */
export interface Failure {
  readonly name: string;
  readonly reason: string;
  readonly message: string;
}

/** A family of generators that an AI-generated image resembles. */
export interface Family {
  readonly family: string;
  /** Calibrated, that the image is of this family. */
  readonly probability: number;
}

/** Where the feedback went. */
export interface FeedbackAnswer {
  readonly stored: "atlas" | "file" | "table";
  /** Name of the file or table. */
  readonly place: string;
  /** What had been said of the image before. */
  readonly replaced: "real" | "fake" | "unknown" | null;
  /** Images of which something is said there. */
  readonly kept: number;
  /** Of cases only, and only with a bank. */
  readonly difference: Difference | null;
}

/** What a person thinks of a verdict; for a case, or for a row of an atlas. */
export interface FeedbackRequest {
  readonly case?: string | null;
  readonly atlas?: string | null;
  readonly row?: number | null;
  readonly label: "real" | "fake" | "unknown";
  readonly note?: string;
}

/** What the files' format, size and shape alone would score; empty without labels of both classes. */
export interface FileAudit {
  readonly auc?: number;
  readonly interval?: readonly [number, number];
  readonly importances?: Readonly<Record<string, number>>;
  readonly n?: number;
  readonly groups?: number;
  readonly note?: string;
}

/** A folder of images. */
export interface Folder {
  readonly name: string;
  /** Relative to the collections' folder. */
  readonly path: string;
}

/** A search: `sort=near:ID` orders images by it while the server remembers it. */
export interface Found {
  readonly id: string;
  /** `concepts`: words were looked up among named concepts, for want of a text tower. */
  readonly by: "image" | "case" | "text" | "concepts" | "selection";
  /** What the search can and cannot find, in one line. */
  readonly note: string;
  /** The nearest images, nearest first. */
  readonly rows: readonly number[];
  /** Their cosines. */
  readonly similarities: readonly number[];
}

/** A generator or source whose images carry a prototype, or in which a dimension is strongest. */
export interface GeneratorShare {
  readonly name: string | null;
  readonly count: number;
  readonly share: number | null;
  readonly lift: number | null;
}

/** The process is alive. */
export interface Health {
  readonly status: "ok";
}

/** Everything known of one image, the columns of its manifest included. */
export interface ImageDetail {
  readonly row: number;
  readonly uri: string;
  readonly sha256: string;
  readonly generator: string | null;
  readonly source: string | null;
  readonly lineage: string | null;
  readonly width: number | null;
  readonly height: number | null;
  readonly format: string | null;
  readonly bytes: number | null;
  readonly label: "real" | "fake" | null;
  readonly probability: number;
  readonly verdict: "ai" | "real" | "inconclusive";
  readonly error: "tn" | "fp" | "fn" | "tp" | "unanswered" | null;
  readonly impacts: readonly number[];
  readonly prototypes: readonly number[];
  readonly tags: readonly string[];
  readonly values: readonly number[];
  readonly bias: number;
  readonly logit: number;
  readonly xy: readonly [number, number];
  readonly available: boolean;
  /** Where the image's own file is; only one that is `there` can be shown whole. */
  readonly file: "there" | "in-archive" | "outside-roots" | "gone";
}

/** An image of an atlas, judged by a fit that did not see its lineage or source. */
export interface ImageRow {
  readonly row: number;
  readonly uri: string;
  readonly sha256: string;
  readonly generator: string | null;
  readonly source: string | null;
  readonly lineage: string | null;
  readonly width: number | null;
  readonly height: number | null;
  readonly format: string | null;
  readonly bytes: number | null;
  readonly label: "real" | "fake" | null;
  readonly probability: number;
  readonly verdict: "ai" | "real" | "inconclusive";
  readonly error: "tn" | "fp" | "fn" | "tp" | "unanswered" | null;
  readonly impacts: readonly number[];
  readonly prototypes: readonly number[];
  readonly tags: readonly string[];
}

/** What this server has and allows. */
export interface Info {
  readonly morelli: string;
  readonly ready: boolean;
  /** Why images cannot be judged, where that is so. */
  readonly problem: string | null;
  /** Null until it is loaded, like `encoder` and `queue`. */
  readonly bundle: LoadedBundle | null;
  /** The detector beside it, where there is one. */
  readonly second: SecondDetector | null;
  readonly encoder: LoadedEncoder | null;
  readonly distilled: LoadedMap | null;
  readonly concepts: readonly string[];
  readonly atlases: readonly string[];
  readonly reports: readonly string[];
  readonly roots: readonly string[];
  /** Atlases can be built here from folders. */
  readonly collections: boolean;
  readonly keeps_uploads: boolean;
  readonly takes_feedback: boolean;
  readonly perturbations: readonly string[];
  readonly limits: ServerLimits;
  readonly queue: QueueState | null;
}

/** A batch and how far it is. */
export interface Job {
  readonly id: string;
  readonly path: string;
  readonly state: "waiting" | "running" | "done" | "failed" | "cancelled";
  readonly done: number;
  readonly failed: number;
  /** Null until the source has been listed. */
  readonly total: number | null;
  /** Images by verdict. */
  readonly counts: Readonly<Record<string, number>>;
  readonly seconds: number;
  readonly message: string;
}

/** A folder, archive, manifest or image inside the allowed roots. */
export interface JobRequest {
  readonly path: string;
  readonly base_rate?: number | null;
  /** Share of real images that may be called AI-generated; the bundle's by default. */
  readonly fpr?: number | null;
  /** Take labels from folders named real, fake, 0_real, 1_fake, … */
  readonly label_from_folders?: boolean;
  /** Published layout that gives the labels; `auto` finds it. */
  readonly layout?: string | null;
  /** A manifest's column of paths or pictures, instead of the usual names. */
  readonly image_column?: string | null;
  /** A manifest's column of labels, instead of `label`. */
  readonly label_column?: string | null;
}

/** A page of a job's results, in the order of the source. */
export interface JobResults {
  readonly total: number;
  readonly offset: number;
  readonly rows: readonly JobRow[];
}

/** One image of a job: either a verdict or a failure. */
export interface JobRow {
  readonly uri: string;
  readonly label: "real" | "fake" | null;
  readonly verdict: "ai" | "real" | "inconclusive" | "out_of_domain" | null;
  readonly probability: number | null;
  readonly interval: readonly [number, number] | null;
  readonly logit: number | null;
  readonly sha256: string | null;
  readonly width: number | null;
  readonly height: number | null;
  readonly format: string | null;
  readonly reasons: readonly string[];
  readonly failure: string | null;
  readonly message: string | null;
  /** Null where one detector judges alone. */
  readonly second: Second | null;
}

/** The detector whose verdicts are given. */
export interface LoadedBundle {
  readonly name: string;
  /** Of its folder. */
  readonly digest: string | null;
  readonly kinds: readonly string[];
  readonly base_rate: number;
  readonly thresholds: DetectorThresholds;
  readonly training: TrainingCounts;
  readonly licence: string;
  /** Images in its bank. */
  readonly bank: number;
}

/** The encoder that judges images, where it runs, and the patches that it makes of one. */
export interface LoadedEncoder {
  readonly encoder: string;
  /** Their SHA-256. */
  readonly weights: string;
  readonly transform: string;
  readonly dtype: string;
  /** Of the other four. */
  readonly fingerprint: string;
  readonly device: string;
  readonly patches: number;
}

/** The distilled map of the other reader: its dimensions and their weights in the logit. */
export interface LoadedMap {
  readonly names: readonly string[];
  readonly weights: readonly number[];
  readonly digest: string | null;
  /** Whether its relevance maps can be had. */
  readonly relevance: boolean;
}

/** What one member of an ensemble says by itself. */
export interface MemberOpinion {
  readonly name: string;
  readonly encoder: string;
  /** Dtype that the member was fitted on. */
  readonly dtype: string;
  /** Its share of the combination. */
  readonly weight: number;
  /** Its own, at the base rate of the answer. */
  readonly probability: number;
  /** By its own thresholds alone. */
  readonly verdict: "ai" | "real" | "inconclusive";
}

/** Figures by name, each with its interval, and notes on how they were made. */
export type Metrics = Readonly<Record<string, EstimateAnswer>> & {
  readonly auc: EstimateAnswer;
  readonly notes: readonly string[];
};

/** An unfinished build. */
export interface NamedBuild {
  /** Of the atlas. */
  readonly name: string;
}

/** A member of the detector's bank. */
export interface NeighborAnswer {
  readonly id: string;
  readonly name: string | null;
  readonly generator: string | null;
  readonly label: "real" | "fake";
  /** Cosine distance. */
  readonly distance: number;
}

/** The nearest members of the bank, the nearest first. */
export interface Neighbors {
  readonly fake: readonly NeighborAnswer[];
  readonly real: readonly NeighborAnswer[];
}

/** Images by outcome at the atlas's two thresholds, between which there is no answer. */
export interface Outcomes {
  readonly tn: number;
  readonly fp: number;
  readonly fn: number;
  readonly tp: number;
  readonly unanswered: number;
  /** Of these the real ones. */
  readonly unanswered_real: number;
}

/** An image that carries a prototype, with its held-out score as it is and without the pattern. */
export interface PatternImage {
  readonly row: number;
  readonly label: "real" | "fake" | null;
  readonly impact: number;
  readonly logit: number;
  readonly logit_without: number;
  readonly probability: number;
  readonly probability_without: number;
}

/** A prototype with its images, exemplars first, and what the scores would be without it. */
export interface PatternPage {
  readonly prototype: PrototypeView;
  /** Its dimension's impact where it has nothing to say. */
  readonly typical: number;
  readonly without: WithoutPattern;
  readonly images: readonly PatternImage[];
}

/** What an error answer holds. */
export interface Problem {
  /** A stable name that programs can match on. */
  readonly type: string;
  /** The kind of problem in a few words. */
  readonly title: string;
  /** The HTTP status again. */
  readonly status: number;
  /** What was wrong this time. */
  readonly detail: string;
  /** What to do about it. */
  readonly next: string;
}

/** What is to be said of a prototype. */
export interface PrototypeEdit {
  readonly name?: string;
  readonly note?: string;
  readonly hidden?: boolean;
  readonly merged_into?: number | null;
  /** Fields as the client saw them, an empty name for the suggested one; if they differ by now, 412. */
  readonly was?: PrototypeFields | null;
}

/** What people say of a prototype. */
export interface PrototypeFields {
  readonly name?: string;
  readonly note?: string;
  readonly hidden?: boolean;
  readonly merged_into?: number | null;
}

/** What people have said of a prototype; what nobody set is left out. */
export interface PrototypeNotes {
  readonly name?: string;
  readonly note?: string;
  readonly hidden?: boolean;
  readonly merged_into?: number;
}

/** A prototype: what was found, what people said of it, and how many images carry it. */
export interface PrototypeView {
  readonly id: number;
  readonly dimension: number;
  /** +1 where the pattern raises its dimension's value, -1 where it lowers it. */
  readonly sign: number;
  readonly name: string;
  readonly suggested: string;
  /** Where in the picture it lies, in plain words. */
  readonly description: string;
  readonly note: string;
  readonly hidden: boolean;
  readonly merged_into: number | null;
  readonly count: number;
  readonly images: number;
  readonly selected: number | null;
  readonly coverage: number | null;
  readonly purity_fake: number | null;
  readonly purity_low: number | null;
  readonly purity_high: number | null;
  readonly share_fake: number | null;
  readonly share_real: number | null;
  readonly mean_impact: number | null;
  readonly impact_low: number | null;
  readonly impact_high: number | null;
  /** Coverage of both intervals, 0 to 1. */
  readonly interval_level: number;
  readonly excess: number | null;
  readonly p_value: number | null;
  readonly p_raw: number | null;
  readonly stability: number | null;
  readonly surprise: number | null;
  readonly area: number | null;
  readonly centre_x: number | null;
  readonly centre_y: number | null;
  readonly file_confound: string | null;
  readonly generators: readonly GeneratorShare[];
  readonly exemplars: readonly Exemplar[];
}

/** One statement of the file about itself: it may raise suspicion, and never lowers it. */
export interface ProvenanceFinding {
  readonly kind: "content_credentials" | "iptc" | "generator_metadata" | "camera" | "watermark";
  readonly claims: "generated" | "edited_with_ai" | "processed" | "captured" | "camera" | "none";
  readonly strength: "signed_trusted" | "signed_unknown" | "statement" | "weak";
  /** The program, service or camera that is named. */
  readonly tool: string | null;
  readonly version: string | null;
  readonly sentence: string;
  /** The place in the file. */
  readonly where: string;
}

/** Images that wait for the encoder, and how many it takes. */
export interface QueueState {
  readonly waiting: number;
  readonly images_per_second: number;
}

/** Rates at the threshold. */
export interface Rates {
  readonly tpr: number;
  readonly fpr: number;
  readonly balanced_accuracy: number;
  /** Share of flagged images that are generated, at the base rate. */
  readonly ppv: number | null;
}

/** The encoder is loaded and images can be judged. */
export interface Readiness {
  readonly status: "ready";
}

/** A written evaluation report. */
export interface Report {
  readonly name: string;
  readonly title: string;
}

/** One detector under one protocol. */
export interface ReportResult {
  readonly protocol: string;
  readonly detector: string;
  readonly matrix?: TransferMatrix;
}

/** Dimensions to switch off. */
export interface Rescore {
  readonly off: readonly number[];
}

/** What switching dimensions off costs; `selection` holds the images whose verdict changes. */
export interface Rescored {
  readonly off: readonly number[];
  readonly auc_before: number | null;
  readonly auc_after: number | null;
  readonly changed: number;
  readonly errors_before: Readonly<Record<string, number>>;
  readonly errors_after: Readonly<Record<string, number>>;
  readonly selection: SelectionAnswer;
}

/** A page of the selected images in an order. */
export interface Rows {
  readonly total: number;
  readonly offset: number;
  readonly rows: readonly ImageRow[];
}

/** What to look for; exactly one of image, case, text and selection. */
export interface SearchQuery {
  /** Row of an image. */
  readonly image?: number | null;
  /** Id of a picture that was sent to `/detect`. */
  readonly case?: string | null;
  readonly text?: string | null;
  /** Images; their mean is looked for. */
  readonly selection?: Readonly<Record<string, unknown>> | null;
  readonly top?: number;
}

/** What a second detector says of the same image. It moves nothing of the first one's answer. */
export interface Second {
  readonly name: string;
  /** SHA-256 of the detector's folder. */
  readonly digest: string | null;
  /** Fingerprint of the encoder's build. */
  readonly build: string;
  readonly encoder: string;
  /** How its features were computed. */
  readonly precision: string;
  readonly verdict: "ai" | "real" | "inconclusive" | "out_of_domain";
  /** At the base rate of the first one's answer. */
  readonly probability: number;
  readonly interval: readonly [number, number];
  readonly thresholds: Thresholds;
  readonly logit: number;
  /** `disagree`: one says ai and the other real. `one_answers`: one says ai or real, the other is inconclusive or out of domain. `neither_answers`: both are. */
  readonly agreement: "agree" | "disagree" | "one_answers" | "neither_answers";
  /** Both verdicts in words. */
  readonly sentence: string;
}

/** The detector beside it. */
export interface SecondDetector {
  readonly name: string;
  /** Of its folder. */
  readonly digest: string | null;
  readonly kinds: readonly string[];
  readonly base_rate: number;
  readonly thresholds: DetectorThresholds;
  readonly training: TrainingCounts;
  readonly licence: string;
  readonly encoder: EncoderBuild;
}

/** A selection: its key, which stands for it in addresses, its document, and counts. */
export interface SelectionAnswer {
  readonly count: number;
  readonly real: number;
  readonly fake: number;
  readonly fp: number;
  readonly fn: number;
  readonly tp: number;
  readonly tn: number;
  /** Labelled images whose verdict is inconclusive: no error. */
  readonly unanswered: number;
  readonly key: string;
  readonly spec: Readonly<Record<string, unknown>>;
}

/** What a request may hold, and how long a case is kept. */
export interface ServerLimits {
  readonly file_bytes: number;
  readonly request_bytes: number;
  readonly files: number;
  readonly pixels: number;
  readonly case_seconds: number;
}

/** A generator or a source: the share of its images that is called generated, with Wilson's interval. */
export interface ShareCalled {
  readonly name: string;
  readonly n: number;
  readonly flagged: number;
  readonly low: number;
  readonly high: number;
  /** Share without an answer, at the atlas's own thresholds. */
  readonly unanswered: number;
}

/** How the probability moves under ordinary re-delivery: re-encoding, scaling, cropping. */
export interface Stability {
  readonly low: number;
  readonly high: number;
  /** True where some delivery is called AI-generated and another real. */
  readonly flips: boolean;
  readonly deliveries: readonly Delivery[];
}

/** A tag that people gave to images, among all images and in the selection. */
export interface Tag {
  readonly name: string;
  readonly n: number;
  readonly selected: number;
}

/** Tags to give to the images of a selection, and tags to take from them. */
export interface TagChange {
  /** A selection document; {"and": []} is everything. */
  readonly selection: Readonly<Record<string, unknown>>;
  readonly add?: readonly string[];
  readonly remove?: readonly string[];
  /** Images that the client saw selected; if there are others by now, 412. */
  readonly count?: number | null;
}

/** The detector's two thresholds as probabilities at the answer's base rate. */
export interface Thresholds {
  /** Above it an image is called AI-generated. */
  readonly ai: number;
  /** At or below it an image is called real. */
  readonly real: number;
}

/** Images that a detector was fitted to, null where it does not say. Thresholds count their deliveries. */
export interface TrainingCounts {
  readonly n_real: number | null;
  readonly n_fake: number | null;
}

/** AUC of a detector fitted on one generator (line) and tested on another (column). */
export interface TransferMatrix {
  readonly trained: readonly string[];
  readonly tested: readonly string[];
  readonly auc: readonly (readonly (number | null)[])[];
  readonly as_test: readonly (number | null)[];
  readonly as_training: readonly (number | null)[];
}

/** A build that can be gone on with. */
export interface UnfinishedBuild {
  readonly name: string;
  readonly folder: string;
  readonly labels: "folders" | "real" | "fake" | "unknown";
  readonly dimensions: "shipped" | "fitted";
  readonly state: "interrupted" | "cancelled" | "failed";
  readonly message: string;
}

/** An atlas that cannot be opened, and why. */
export interface UnopenedAtlas {
  readonly name: string;
  readonly problem: string;
}

/** What judged: names, versions and hashes, so that an answer can be traced and repeated. */
export interface Versions {
  readonly morelli: string;
  readonly bundle: string;
  readonly bundle_digest: string | null;
  readonly build: string;
  readonly encoder: string;
  readonly weights: string;
  readonly transform: string;
  readonly dtype: string;
  /** How features were computed; `dtype` is the build's. */
  readonly precision: string;
  readonly device: string;
  /** The library that computed the features and its version. */
  readonly runtime: string;
  readonly distilled_digest: string | null;
}

/** What to change: edits of the picture in order, and distilled dimensions to switch off. */
export interface WhatIf {
  readonly edits?: readonly EditStep[];
  readonly off?: readonly number[];
  readonly base_rate?: number | null;
  /** Share of real images that may be called AI-generated; the bundle's by default. */
  readonly fpr?: number | null;
}

/** The case before and after; `after` is a case of its own, with picture and relevance. */
export interface WhatIfAnswer {
  readonly edits: string;
  readonly off: readonly number[];
  readonly before: Case;
  readonly after: Case;
}

/** All images that carry a prototype: their scores and outcomes with it and without it. */
export interface WithoutPattern {
  readonly images: number;
  /** Mean held-out probability. */
  readonly probability: number | null;
  readonly probability_without: number | null;
  /** Verdicts that differ without it. */
  readonly changed: number;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly outcomes_without: Readonly<Record<string, number>>;
}

/** An image whose label gets little probability. */
export interface WorstCase {
  readonly row: number;
  readonly label: "real" | "fake";
  readonly probability: number;
}

/** `report.json` as a command wrote it; results are those of `morelli evaluate`. */
export interface WrittenReport {
  readonly name?: string;
  readonly results?: readonly ReportResult[];
}

/** Columns of a table of verdicts. */
export const COLUMNS = [
  "uri",
  "sha256",
  "label",
  "generator",
  "verdict",
  "probability",
  "probability_low",
  "probability_high",
  "logit",
  "domain_distance",
  "nearest_generated",
  "nearest_generated_similarity",
  "nearest_real",
  "nearest_real_similarity",
  "reasons",
  "width",
  "height",
  "format",
  "bytes",
  "notes",
  "error",
  "error_message",
  "provenance",
  "family",
  "family_probability",
  "stability_low",
  "stability_high",
  "flips",
] as const;

/** More of them where a second detector judges beside the first. */
export const SECOND_COLUMNS = [
  "second_verdict",
  "second_probability",
  "second_low",
  "second_high",
  "agreement",
] as const;

/** A claim in a cell of such a table. */
export const CLAIM_WORDS = {
  generated: "generated",
  edited_with_ai: "edited with AI",
  processed: "processed",
  captured: "captured",
  camera: "camera data",
  none: "no claim",
} as const;
