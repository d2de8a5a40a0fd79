"""What is changed in QuickFIX's source about its file store: what it keeps in memory, and how it reads its index.

It kept the place of every message sent since the session's reset in a map, 64 bytes each, which was most of what
grows in a gateway that trades; and it read its index, the header file, with fscanf, six times as slow as this. Now it
keeps where in that file the entries of which numbers are, 256 of them together, and reads those that are asked for.

The files are written as before, in the same order and with as many writes. And whatever is set, asked for, torn and
opened again, the messages that come are those the map gave.
"""

from __future__ import annotations

from setuplib.session_edits import Edit

HEADER = "C++/FileStore.h"
SOURCE = "C++/FileStore.cpp"

STORE_EDITS = (
    Edit(
        HEADER,
        """namespace FIX {
class Session;

/// Creates a file based implementation of MessageStore.
""",
        """namespace FIX {
class Session;

/**
 * Where each message of a FileStore is, as its header file says.
 *
 * Entries of the header file make blocks, of which only the numbers and the place in that file are kept. The entries
 * themselves are kept of the last block, and of one that the file may not have as it was written: what comes after it
 * does not begin where it ended. Numbers may repeat and go back; the later entry of a number counts.
 */
class FileStoreIndex {
public:
  struct Entry {
    SEQNUM number;
    int64_t offset;
    std::size_t size;
  };

  void clear() { m_blocks.clear(); }
  /// Takes the entries of a header file, up to the first that is none. False if it cannot be read.
  bool read(int file);
  /// Takes one entry, which is in the header file from one place to another, or is to be.
  void add(const Entry &entry, int64_t begin, int64_t end);
  /// Gives the entries of these numbers in order, one of each. False if the header file cannot be read.
  bool find(int file, SEQNUM lowest, SEQNUM highest, std::vector<Entry> &found) const;

private:
  struct Block {
    SEQNUM lowest;
    SEQNUM highest;
    int64_t begin;
    int64_t end;
    std::size_t count;
    std::vector<Entry> entries; // empty where the file is asked
  };

  std::vector<Block> m_blocks;
};

/// Creates a file based implementation of MessageStore.
""",
    ),
    Edit(
        HEADER,
        """  typedef std::pair<int64_t, std::size_t> OffsetSize;
  typedef std::map<SEQNUM, OffsetSize> NumToOffset;

""",
        "",
    ),
    Edit(
        HEADER,
        "  bool readFromFile(int64_t offset, int size, std::string &msg);\n",
        "  void readFromFile(int64_t offset, std::size_t size, std::string &msg) const EXCEPT(IOException);\n",
    ),
    Edit(
        HEADER,
        """
  bool get(SEQNUM, std::string &) const EXCEPT(IOException);

  MemoryStore m_cache;
  NumToOffset m_offsets;
""",
        """
  MemoryStore m_cache;
  FileStoreIndex m_index;
""",
    ),
    Edit(
        SOURCE,
        "#include <cstdint>\n#include <fstream>\n",
        "#include <algorithm>\n#include <cstdint>\n#include <fstream>\n",
    ),
    Edit(
        SOURCE,
        "#include <sys/stat.h>\n",
        "#include <sys/stat.h>\n#include <unistd.h>\n",
    ),
    # fscanf(file, "%llu,%lld,%zu ") by hand: blanks and a sign may stand before each number, one too large is the
    # largest, and blanks after the last one belong to the entry. pread leaves the place where the next entry is
    # written alone, and what waits to be written too.
    Edit(
        SOURCE,
        """auto constexpr sizeOf64BitSeqNumFile = 43;
} // namespace
namespace FIX {
""",
        """auto constexpr sizeOf64BitSeqNumFile = 43;

auto constexpr entriesOfBlock = 256;

class EntryReader {
public:
  EntryReader(int file, int64_t begin, int64_t end)
      : m_file(file),
        m_next(begin),
        m_end(end) {}

  bool read(FIX::FileStoreIndex::Entry &entry) {
    uint64_t offset, size;
    if (!readNumber(entry.number, false) || !skip(',') || !readNumber(offset, true) || !skip(',')
        || !readNumber(size, false)) {
      return false;
    }
    entry.offset = static_cast<int64_t>(offset);
    entry.size = static_cast<std::size_t>(size);
    m_isClosed = isBlank(peek());
    skipBlanks();
    return true;
  }

  bool failed() const { return m_failed; }
  /// Whether the last entry ended with a blank: without it, digits written after it would be its own.
  bool isClosed() const { return m_isClosed; }
  int64_t position() const { return m_next - (m_filled - m_at); }

private:
  static bool isBlank(int c) { return c == ' ' || (c >= '\\t' && c <= '\\r'); }
  static bool isDigit(int c) { return c >= '0' && c <= '9'; }

  int peek() { return m_at < m_filled || fill() ? static_cast<unsigned char>(m_buffer[m_at]) : EOF; }

  bool fill() {
    const std::size_t wanted = std::min<int64_t>(sizeof(m_buffer), m_end - m_next);
    const ssize_t count = wanted == 0 ? 0 : pread(m_file, m_buffer, wanted, m_next);
    m_failed = m_failed || count < 0;
    m_at = 0;
    m_filled = std::max<ssize_t>(count, 0);
    m_next += m_filled;
    return m_filled > 0;
  }

  bool skip(char wanted) {
    if (peek() != wanted) {
      return false;
    }
    ++m_at;
    return true;
  }

  void skipBlanks() {
    while (isBlank(peek())) {
      ++m_at;
    }
  }

  bool readNumber(uint64_t &value, bool isSigned) {
    skipBlanks();
    const bool negative = skip('-');
    if (!negative) {
      skip('+');
    }
    if (!isDigit(peek())) {
      return false;
    }
    const uint64_t most = isSigned ? uint64_t(INT64_MAX) + negative : UINT64_MAX;
    bool tooLarge = false;
    value = 0;
    for (; isDigit(peek()); ++m_at) {
      const uint64_t digit = m_buffer[m_at] - '0';
      tooLarge = tooLarge || value > (most - digit) / 10;
      value = value * 10 + digit;
    }
    if (tooLarge) {
      value = most;
    }
    if (negative && (isSigned || !tooLarge)) {
      value = 0 - value;
    }
    return true;
  }

  char m_buffer[16384];
  int m_file;
  int64_t m_next;
  int64_t m_end;
  int64_t m_at = 0;
  int64_t m_filled = 0;
  bool m_failed = false;
  bool m_isClosed = true;
};
} // namespace
namespace FIX {
bool FileStoreIndex::read(int file) {
  EntryReader reader(file, 0, INT64_MAX);
  Entry entry;
  for (int64_t begin = 0; reader.read(entry); begin = reader.position()) {
    add(entry, begin, reader.position());
  }
  if (!m_blocks.empty() && !reader.isClosed()) {
    m_blocks.back().end = -1;
  }
  return !reader.failed();
}

void FileStoreIndex::add(const Entry &entry, int64_t begin, int64_t end) {
  const bool follows = !m_blocks.empty() && m_blocks.back().end == begin;
  const bool isFull = follows && m_blocks.back().count == entriesOfBlock;
  if (isFull) {
    std::vector<Entry>().swap(m_blocks.back().entries);
  }
  if (!follows || isFull) {
    m_blocks.push_back(Block{entry.number, entry.number, begin, end, 0, {}});
  }
  Block &block = m_blocks.back();
  block.entries.push_back(entry);
  block.lowest = std::min(block.lowest, entry.number);
  block.highest = std::max(block.highest, entry.number);
  block.end = end;
  ++block.count;
}

bool FileStoreIndex::find(int file, SEQNUM lowest, SEQNUM highest, std::vector<Entry> &found) const {
  found.clear();
  const auto take = [&](const Entry &entry) {
    if (lowest <= entry.number && entry.number <= highest) {
      found.push_back(entry);
    }
  };
  for (const Block &block : m_blocks) {
    if (block.highest < lowest || highest < block.lowest) {
      continue;
    }
    std::for_each(block.entries.begin(), block.entries.end(), take);
    if (block.entries.empty()) {
      EntryReader reader(file, block.begin, block.end);
      Entry entry;
      for (std::size_t count = 0; count < block.count; ++count) {
        if (!reader.read(entry)) {
          return false;
        }
        take(entry);
      }
    }
  }
  std::stable_sort(found.begin(), found.end(), [](const Entry &one, const Entry &other) {
    return one.number < other.number;
  });
  const auto sameNumber = [](const Entry &one, const Entry &other) { return one.number == other.number; };
  found.erase(found.begin(), std::unique(found.rbegin(), found.rend(), sameNumber).base());
  return true;
}

""",
    ),
    Edit(
        SOURCE,
        """    SEQNUM msgSeqNum;
    int64_t offset;
    std::size_t size;

    while (FILE_FSCANF(headerFile, "%" SCNu64 ",%" SCNi64 ",%zu ", &msgSeqNum, &offset, &size) == 3) {
      std::pair<NumToOffset::iterator, bool> it
          = m_offsets.insert(NumToOffset::value_type(msgSeqNum, std::make_pair(offset, size)));

      if (it.second == false) {
        it.first->second = std::make_pair(offset, size);
      }
    }
    fclose(headerFile);
  }
""",
        """    const bool isRead = m_index.read(fileno(headerFile));
    fclose(headerFile);
    if (!isRead) {
      throw IOException("Unable to read from file " + m_headerFileName);
    }
  }
""",
    ),
    Edit(
        SOURCE,
        """  std::size_t size = msg.size();

  if (fprintf(m_headerFile, "%" SCNu64 ",%" PRId64 ",%zu ", msgSeqNum, offset, size) < 0) {
    throw IOException("Unable to write to file " + m_headerFileName);
  }
  std::pair<NumToOffset::iterator, bool> it
      = m_offsets.insert(NumToOffset::value_type(msgSeqNum, std::make_pair(offset, size)));
  if (it.second == false) {
    it.first->second = std::make_pair(offset, size);
  }
""",
        """  const int64_t headerOffset = FILE_TELL(m_headerFile);
  if (headerOffset < 0) {
    throw IOException("Unable to get file pointer position from " + m_headerFileName);
  }
  std::size_t size = msg.size();

  const int length = fprintf(m_headerFile, "%" SCNu64 ",%" PRId64 ",%zu ", msgSeqNum, offset, size);
  if (length < 0) {
    throw IOException("Unable to write to file " + m_headerFileName);
  }
  m_index.add({msgSeqNum, offset, size}, headerOffset, headerOffset + length);
""",
    ),
    Edit(
        SOURCE,
        """  result.clear();
  std::string msg;
  for (auto i = begin; i <= end && i != 0; ++i) {
    if (get(i, msg)) {
      result.push_back(msg);
    }
  }
}
""",
        """  result.clear();
  if (begin == 0) {
    return;
  }
  std::vector<FileStoreIndex::Entry> found;
  if (!m_index.find(m_headerFile ? fileno(m_headerFile) : -1, begin, end, found)) {
    throw IOException("Unable to read from file " + m_headerFileName);
  }
  std::string msg;
  for (const FileStoreIndex::Entry &entry : found) {
    readFromFile(entry.offset, entry.size, msg);
    result.push_back(msg);
  }
}
""",
    ),
    *(
        Edit(
            SOURCE,
            f"    m_cache.reset({now});\n    m_offsets.clear();\n",
            f"    m_cache.reset({now});\n    m_index.clear();\n",
        )
        for now in ("now", "UtcTimeStamp::now()")
    ),
    Edit(
        SOURCE,
        """bool FileStore::get(SEQNUM msgSeqNum, std::string &msg) const EXCEPT(IOException) {
  NumToOffset::const_iterator find = m_offsets.find(msgSeqNum);
  if (find == m_offsets.end()) {
    return false;
  }
  const OffsetSize &offset = find->second;
  if (FILE_SEEK(m_msgFile, offset.first, SEEK_SET)) {
    throw IOException("Unable to seek in file " + m_msgFileName);
  }
  char *buffer = new char[offset.second + 1];
  size_t result = fread(buffer, sizeof(char), offset.second, m_msgFile);
  if (ferror(m_msgFile) || result != (size_t)offset.second) {
    delete[] buffer;
    throw IOException("Unable to read from file " + m_msgFileName);
  }
  buffer[offset.second] = 0;
  msg = buffer;
  delete[] buffer;
  return true;
}
""",
        """void FileStore::readFromFile(int64_t offset, std::size_t size, std::string &msg) const
    EXCEPT(IOException) {
  if (FILE_SEEK(m_msgFile, offset, SEEK_SET)) {
    throw IOException("Unable to seek in file " + m_msgFileName);
  }
  char *buffer = new char[size + 1];
  size_t result = fread(buffer, sizeof(char), size, m_msgFile);
  if (ferror(m_msgFile) || result != size) {
    delete[] buffer;
    throw IOException("Unable to read from file " + m_msgFileName);
  }
  buffer[size] = 0;
  msg = buffer;
  delete[] buffer;
}
""",
    ),
)
