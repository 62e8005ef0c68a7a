/** Files out of a drop or a paste, folders included; the server decides what is a picture, not a file's name. */

const MOST = 500;

export async function picturesIn(transfer: DataTransfer): Promise<File[]> {
  // Entries must be taken before the first await: the list is emptied when the event ends.
  const entries = [...transfer.items].map((item) => (item.kind === "file" ? item.webkitGetAsEntry() : null));
  const files = [...transfer.files];
  const folders = entries.filter((entry): entry is FileSystemDirectoryEntry => entry?.isDirectory ?? false);
  if (folders.length === 0) return files.slice(0, MOST);
  // A folder is also in `files`, as something that cannot be read.
  const names = new Set(folders.map((folder) => folder.name));
  const found = files.filter((file) => !names.has(file.name));
  for (const folder of folders) await collect(folder, found);
  return found.slice(0, MOST);
}

async function collect(folder: FileSystemDirectoryEntry, found: File[]): Promise<void> {
  const reader = folder.createReader();
  for (;;) {
    const batch = await new Promise<FileSystemEntry[]>((resolve, reject) => {
      reader.readEntries(resolve, reject);
    });
    if (batch.length === 0 || found.length >= MOST) return;
    for (const entry of batch) {
      if (entry.name.startsWith(".")) continue;
      if (entry.isDirectory) await collect(entry as FileSystemDirectoryEntry, found);
      else {
        found.push(
          await new Promise<File>((resolve, reject) => {
            (entry as FileSystemFileEntry).file(resolve, reject);
          }),
        );
      }
    }
  }
}
