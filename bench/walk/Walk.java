// As walk.c.
import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;

public class Walk extends SimpleFileVisitor<Path> {
	long names, bytes;

	@Override
	public FileVisitResult preVisitDirectory(Path path, BasicFileAttributes attributes) {
		names++;
		return FileVisitResult.CONTINUE;
	}

	@Override
	public FileVisitResult visitFile(Path path, BasicFileAttributes attributes) throws IOException {
		names++;
		bytes += Files.readAllBytes(path).length;
		return FileVisitResult.CONTINUE;
	}

	public static void main(String[] args) throws IOException {
		Walk walk = new Walk();
		for (int i = Integer.parseInt(args[1]); i > 0; i--)
			Files.walkFileTree(Path.of(args[0]), walk);
		System.out.println(walk.names + " names, " + walk.bytes + " bytes");
	}
}
